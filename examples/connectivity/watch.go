package main

import (
	"context"
	"fmt"

	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// watch prints each completed connection and request until ctx ends.
func watch(ctx context.Context, s *connectivitytest.Server) {
	reported := map[int]bool{}
	for s.Wait(ctx, len(reported)+1, isComplete) == nil {
		for i, e := range s.Ledger() {
			if isComplete(e) && !reported[i] {
				reported[i] = true
				fmt.Println(line(e))
			}
		}
	}
}

// isComplete reports whether an entry is complete: it exists before its answer.
func isComplete(e connectivitytest.Entry) bool {
	return !e.Ended.IsZero() || (e.Port != "socks5" && e.Port != "http" && e.Code != 0)
}

// line returns the line that is printed for an entry.
func line(e connectivitytest.Entry) string {
	place := ""
	if e.Location != "" {
		place = " at " + e.Location
	}
	switch {
	case e.Port != "socks5":
		return fmt.Sprintf("%-12s %s%s: %d", e.Port, e.Target, place, e.Code)
	case e.Step != connectivitytest.Connect:
		return fmt.Sprintf("%-12s %s%s: answer %02x, and no more was asked", e.Port, e.Step, place, e.Code)
	case e.Code != 0:
		return fmt.Sprintf("%-12s %s%s: REP %02x", e.Port, e.Target, place, e.Code)
	}
	return fmt.Sprintf("%-12s %s%s: REP 00, %d bytes there, %d back", e.Port, e.Target, place, e.Sent, e.Received)
}

// texts collects the values of a repeated flag.
type texts []string

func (t *texts) String() string { return fmt.Sprint([]string(*t)) }

func (t *texts) Set(text string) error {
	*t = append(*t, text)
	return nil
}
