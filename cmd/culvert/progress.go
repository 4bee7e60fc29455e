package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin"
)

// display shows what each connector is doing: a line for each every two seconds, for as long as something changes. What
// else goes to the same place is written through it. It has a goroutine from follow to the end.
type display struct {
	mu   sync.Mutex
	out  io.Writer
	said []string // last
}

const displayEvery = 2 * time.Second

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// compiling shows what keeps a command waiting while plugins are compiled: on a terminal as soon as it takes a while.
func compiling(out io.Writer) func(took time.Duration) {
	terminal := isTerminal(out)
	return func(took time.Duration) {
		switch {
		case took == 0 && terminal:
			fmt.Fprint(out, plugin.CompilingText(0)+" …")
		case took > 0 && terminal:
			fmt.Fprint(out, "\r\x1b[K"+plugin.CompilingText(took)+"\n")
		case took > 0:
			fmt.Fprintln(out, plugin.CompilingText(took))
		}
	}
}

// Write writes between the lines.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

// follow shows what progress says until the returned function is called, which shows it a last time.
func (d *display) follow(progress func() []connect.Progress) func() {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(nil, "showing progress", nil)
		ticker := time.NewTicker(displayEvery)
		defer ticker.Stop()
		rates := rates{began: time.Now(), last: map[string]sample{}}
		for {
			select {
			case now := <-ticker.C:
				d.show(rates.lines(progress(), now))
			case <-stop:
				d.show(rates.lines(progress(), time.Now()))
				return
			}
		}
	}()
	return func() { close(stop); <-done }
}

func (d *display) show(lines []string) {
	if !slices.Equal(lines, d.said) {
		fmt.Fprint(d, strings.Join(lines, ""))
	}
	d.said = lines
}

// rates remembers the last counts of each connector, for rows a second.
type rates struct {
	began time.Time
	last  map[string]sample
}

type sample struct {
	rows int64
	at   time.Time
}

func (r rates) lines(progress []connect.Progress, now time.Time) []string {
	width := 0
	for _, p := range progress {
		width = max(width, len(p.Connector))
	}
	var lines []string
	for _, p := range progress {
		perSecond := 0.0
		last, seen := r.last[p.Connector]
		if !seen {
			last = sample{0, r.began}
		}
		if now.After(last.at) {
			perSecond = float64(p.Rows-last.rows) / now.Sub(last.at).Seconds()
		}
		r.last[p.Connector] = sample{p.Rows, now}
		lines = append(lines, line(p, width, perSecond))
	}
	return lines
}

func line(p connect.Progress, width int, perSecond float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s  %-6s %-10s %10d rows %9.0f/s", width, p.Connector, p.Type, p.State, p.Rows, perSecond)
	if p.Type == "source" {
		fmt.Fprintf(&b, " %7d pages", p.Pages)
	} else {
		fmt.Fprintf(&b, " %7d lag", p.Lag)
	}
	if p.Failed > 0 {
		fmt.Fprintf(&b, "  %d failed", p.Failed)
	}
	b.WriteByte('\n')
	return b.String()
}
