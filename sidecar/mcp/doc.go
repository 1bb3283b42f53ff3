// Package mcp keeps what an agent's MCP clients and the servers behind an
// endpoint have said to each other, as far as judging takes a memory, and cuts
// what servers answer to what the agent gets to see.
//
// The judgement of a single message is package internal/scope/mcp's. Here are
// the sessions, which a server opens and nobody else; the requests of servers,
// of which each is answered once; and the answers: one JSON text or a stream
// of events, of which messages alone are passed on.
package mcp
