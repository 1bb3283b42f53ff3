package podwebhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// patch returns the operations that turn before into after. Both are typed, so
// fields that this program does not know are in neither, and stay as they are
// in the object that the operations are applied to. There is no remove: a
// difference that would need one is a mistake of ours and an error.
func patch(before, after *corev1.Pod) ([]jsonpatch.Operation, error) {
	b, err := plain(before)
	if err != nil {
		return nil, err
	}
	a, err := plain(after)
	if err != nil {
		return nil, err
	}
	return diff("", b, a)
}

func plain(pod *corev1.Pod) (any, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encoding pod: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err = decoder.Decode(&value)
	return value, err
}

func diff(path string, before, after any) ([]jsonpatch.Operation, error) {
	if reflect.DeepEqual(before, after) {
		return nil, nil
	}
	switch a := after.(type) {
	case map[string]any:
		if b, ok := before.(map[string]any); ok {
			return diffMap(path, b, a)
		}
	case []any:
		if b, ok := before.([]any); ok {
			return diffList(path, b, a)
		}
	}
	return []jsonpatch.Operation{jsonpatch.NewOperation("replace", path, after)}, nil
}

func diffMap(path string, before, after map[string]any) (ops []jsonpatch.Operation, err error) {
	for key := range before {
		if _, ok := after[key]; !ok {
			return nil, fmt.Errorf("removing %s/%s: only additions are made", path, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		b, ok := before[key]
		if !ok {
			ops = append(ops, jsonpatch.NewOperation("add", at, after[key]))
			continue
		}
		inner, err := diff(at, b, after[key])
		if err != nil {
			return nil, err
		}
		ops = append(ops, inner...)
	}
	return ops, nil
}

// diffList matches elements by name. What is before stays in its order; what is
// new is inserted between.
func diffList(path string, before, after []any) (ops []jsonpatch.Operation, err error) {
	matched := 0
	for i, a := range after {
		at := path + "/" + strconv.Itoa(i)
		if matched == len(before) || identity(before[matched]) != identity(a) {
			ops = append(ops, jsonpatch.NewOperation("add", at, a))
			continue
		}
		inner, err := diffElement(at, before[matched], a)
		if err != nil {
			return nil, err
		}
		ops = append(ops, inner...)
		matched++
	}
	if matched < len(before) {
		return nil, fmt.Errorf("removing from %s: only additions are made", path)
	}
	return ops, nil
}

// diffElement replaces a container or volume of ours whole, since nothing that
// somebody else put into it may stay.
func diffElement(path string, before, after any) ([]jsonpatch.Operation, error) {
	ours := strings.HasPrefix(identity(after), "sallyport-")
	if ours && !reflect.DeepEqual(before, after) {
		return []jsonpatch.Operation{jsonpatch.NewOperation("replace", path, after)}, nil
	}
	return diff(path, before, after)
}

// identity is what tells the elements of a pod's lists apart.
func identity(element any) string {
	m, ok := element.(map[string]any)
	if !ok {
		return fmt.Sprint(element)
	}
	return fmt.Sprintf("%v %v", m["name"], m["mountPath"])
}
