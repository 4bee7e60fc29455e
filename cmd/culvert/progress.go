package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/rest"
)

// display prints the state of the connectors every [displayInterval] if it has changed. Other output to the same place
// must be written through it.
type display struct {
	mu      sync.Mutex
	out     io.Writer
	printed []byte // the last state
}

const displayInterval = 2 * time.Second

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// compilingReporter returns a function that prints that plugins are being compiled: with 0 that compiling starts, only
// on a terminal, with another time that it took so long.
func compilingReporter(out io.Writer) func(elapsed time.Duration) {
	onTerminal := isTerminal(out)
	return func(elapsed time.Duration) {
		switch {
		case elapsed == 0 && onTerminal:
			fmt.Fprint(out, plugin.CompilingText(0)+" …")
		case elapsed > 0 && onTerminal:
			fmt.Fprint(out, "\r\x1b[K"+plugin.CompilingText(elapsed)+"\n")
		case elapsed > 0:
			fmt.Fprintln(out, plugin.CompilingText(elapsed))
		}
	}
}

// Write writes to the output while no state is printed.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(p)
}

// follow starts a goroutine that prints progress until the returned function is called, which prints it a last time and
// waits for the goroutine.
func (d *display) follow(progress func() []connect.Progress) (stopAndWait func()) {
	stop := make(chan struct{})
	done := make(chan struct{})
	previous := progressSnapshot(time.Now(), nil)
	show := func() {
		current := progressSnapshot(time.Now(), progress())
		d.show(current, previous)
		previous = current
	}
	go func() {
		defer close(done)
		defer guard.Recover(nil, "showing progress", nil)
		ticker := time.NewTicker(displayInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show()
			case <-stop:
				show()
				return
			}
		}
	}()
	return func() { close(stop); <-done }
}

func (d *display) show(current, previous statusSnapshot) {
	var b bytes.Buffer
	_ = current.print(&b, &previous, output{}) // a buffer returns no error
	if !bytes.Equal(b.Bytes(), d.printed) {
		d.Write(b.Bytes())
	}
	d.printed = b.Bytes()
}

func progressSnapshot(at time.Time, progress []connect.Progress) statusSnapshot {
	snapshot := statusSnapshot{at: at, connectors: map[string]expandedConnector{}}
	for _, p := range progress {
		summary := rest.ConnectorSummary{Activity: connect.Activity{Refused: &p.Failed},
			ConnectorState: rest.ConnectorState{Name: p.Connector, Type: p.Type, State: p.State}}
		if p.IsLagKnown {
			summary.Lag = &p.Lag
		}
		snapshot.connectors[p.Connector] = expandedConnector{Status: connect.Status{Type: p.Type}, Summary: &summary,
			Metrics: &connect.Metrics{Type: p.Type, Tasks: []connect.TaskMetrics{{Progress: &p}}}}
	}
	return snapshot
}
