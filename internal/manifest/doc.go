// Package manifest reads the objects that the command line works on from YAML
// files, and finds the line of every complaint about them.
//
// A file has no API server in front of it, so the package does what one would:
// unknown and duplicate fields, the schema with its defaults and the CEL rules
// of our two kinds are judged by the generated definitions, with the code that
// API servers judge them with. What is accepted here would be stored there.
//
// It refuses rather than skips: a document of a kind that it does not know, an
// object that is given twice, a document that only one of two YAML readers
// would see.
//
// Values of Secrets appear in no error.
package manifest
