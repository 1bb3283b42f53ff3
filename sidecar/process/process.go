// Package process hardens the process that holds a credential.
package process
