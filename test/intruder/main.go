//go:build linux

// Command intruder is what a hostile agent would bring along: it reads all that
// a container can read, and tries what could get it more. The end-to-end tests
// run it beside a sidecar, where it must find nothing, and in a pod that holds
// the key, where each of its ways must find it.
//
//	intruder read CHANNEL...        prints all that the channels show, as it is
//	intruder sniff [-for DURATION]  prints every packet of the pod
//	intruder links                  plants links and devices, prints what they lead to
//	intruder ports PORT...          tries to listen where others listen
//	intruder capture PORT           waits until a port is free, and plays who was there
//	intruder exchange -addr A       sends the requests on standard input, as they are
//	intruder broker -addr A         asks the broker with tokens of every kind
//	intruder impostor -name N       plays name server and upstream
//	intruder flood -addr A          opens, begins and sends too much of everything
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{
		"read": read, "sniff": sniff, "links": links, "ports": ports, "capture": capture,
		"exchange": exchange, "broker": broker, "impostor": impostor, "flood": flood,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "intruder: no such command")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "intruder:", err)
		os.Exit(1)
	}
}
