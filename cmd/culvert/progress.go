package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/width"

	"github.com/culvert-project/culvert/host/connect"
	"github.com/culvert-project/culvert/host/guard"
	"github.com/culvert-project/culvert/host/plugin"
)

// display shows what each connector is doing: on a terminal lines that are written over, as many as it has room for and
// none longer than it is wide, else a line for each every two seconds for as long as something changes. What else goes
// to the same place is written through it, above the live lines. It has a goroutine from follow to the end.
type display struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	// size of the terminal in columns and rows, which changes; zero: nobody knows.
	size  func() (width, height int)
	shown int // live lines on the screen
	live  []string
}

const (
	terminalEvery = 250 * time.Millisecond
	plainEvery    = 2 * time.Second
)

func newDisplay(out io.Writer) *display {
	return &display{out: out, terminal: isTerminal(out), size: func() (int, int) { return terminalSize(out) }}
}

// terminalSize is what the system says of a terminal, zero where it says nothing.
func terminalSize(out io.Writer) (width, height int) {
	f, ok := out.(*os.File)
	if !ok {
		return 0, 0
	}
	return windowSize(f.Fd())
}

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

// Write writes above the live lines.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.erase()
	n, err := d.out.Write(p)
	d.paint()
	return n, err
}

// follow shows what progress says until the returned function is called, which shows it a last time.
func (d *display) follow(progress func() []connect.Progress) func() {
	every := plainEvery
	if d.terminal {
		every = terminalEvery
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer guard.Recover(nil, "showing progress", nil)
		ticker := time.NewTicker(every)
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
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.terminal {
		if !slices.Equal(lines, d.live) {
			fmt.Fprint(d.out, strings.Join(lines, ""))
		}
		d.live = lines
		return
	}
	d.erase()
	d.live = lines
	d.paint()
}

// erase moves up over the live lines and clears from there.
func (d *display) erase() {
	if d.shown > 0 {
		fmt.Fprintf(d.out, "\x1b[%dA\x1b[J", d.shown)
		d.shown = 0
	}
}

func (d *display) paint() {
	if !d.terminal {
		return
	}
	var b bytes.Buffer
	lines := fitting(d.live, d.size)
	for _, line := range lines {
		b.WriteString(line)
	}
	d.out.Write(b.Bytes())
	d.shown = len(lines)
}

// fitting are the lines that a terminal shows as they are: one that wraps, or has left at the top, is not found again
// by moving up. The cursor stands in a row of its own, and the last column stays free: some terminals wrap there.
func fitting(lines []string, size func() (width, height int)) []string {
	columns, rows := size()
	if room := max(rows-1, 1); rows > 0 && len(lines) > room {
		more := len(lines) - room + 1
		lines = append(slices.Clone(lines[:room-1]), fmt.Sprintf("… and %d more\n", more))
	}
	if columns <= 0 {
		return lines
	}
	cut := make([]string, len(lines))
	for i, line := range lines {
		cut[i] = within(strings.TrimSuffix(line, "\n"), columns-1) + "\n"
	}
	return cut
}

// within is as much of a text as there are columns for.
func within(text string, columns int) string {
	for i, r := range text {
		if columns -= columnsOf(r); columns < 0 {
			return text[:i]
		}
	}
	return text
}

// columnsOf is how many columns a letter takes at most.
func columnsOf(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	case width.EastAsianAmbiguous:
		if r != '…' {
			return 2
		}
	}
	return 1
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
