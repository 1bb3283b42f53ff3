package audit

// TraceOf returns the ids of a trace and of the span in it that a traceparent
// names (W3C Trace Context, level 1, 3.2), and whether it is one. Of versions to
// come, what the first one has is read, as the standard wants it; ids of zeros
// alone name nothing.
func TraceOf(traceparent string) (trace, span string, ok bool) {
	const (
		versionEnd       = 2
		traceAt, traceTo = versionEnd + 1, versionEnd + 1 + 32
		spanAt, spanTo   = traceTo + 1, traceTo + 1 + 16
		flagsAt, flagsTo = spanTo + 1, spanTo + 1 + 2
	)
	p := traceparent
	if len(p) < flagsTo || p[versionEnd] != '-' || p[traceTo] != '-' || p[spanTo] != '-' {
		return "", "", false
	}
	version := p[:versionEnd]
	switch {
	case version == "ff", version == "00" && len(p) > flagsTo, len(p) > flagsTo && p[flagsTo] != '-':
		return "", "", false
	case !isHex(version), !isHex(p[flagsAt:flagsTo]), !isID(p[traceAt:traceTo]), !isID(p[spanAt:spanTo]):
		return "", "", false
	}
	return p[traceAt:traceTo], p[spanAt:spanTo], true
}

// isHex reports whether s is hexadecimal digits in lower case.
func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// isID reports whether s is hexadecimal and not zeros alone.
func isID(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return isHex(s)
		}
	}
	return false
}
