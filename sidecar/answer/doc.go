// Package answer has the steps that an answer of an upstream goes through on
// its way to the agent, each of which knows nothing of the others:
//
//	source -> coding undone -> filter of the protocol -> cut -> masked -> framed
//
// A [Source] reads the body and lets what was written before go out before it
// waits. [Decode] undoes a content coding, since text that cannot be read cannot
// be searched. [Base] makes addresses that name the upstream name the listener.
// Cutting and masking are packages of their own, sidecar/cut and sidecar/mask.
package answer
