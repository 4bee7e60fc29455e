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

// display prints the state of the connectors every two seconds if it has changed. Other output to the same place must
// be written through it.
type display struct {
	mu      sync.Mutex
	out     io.Writer
	printed []byte
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

// compiling reports plugins that are being compiled; on a terminal immediately.
func compiling(out io.Writer) func(elapsed time.Duration) {
	terminal := isTerminal(out)
	return func(elapsed time.Duration) {
		switch {
		case elapsed == 0 && terminal:
			fmt.Fprint(out, plugin.CompilingText(0)+" …")
		case elapsed > 0 && terminal:
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

// follow prints progress until the returned function is called, which prints it a last time.
func (d *display) follow(progress func() []connect.Progress) func() {
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
		ticker := time.NewTicker(displayEvery)
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

// show prints a snapshot if its text differs from the previous one.
func (d *display) show(current, previous statusSnapshot) {
	var b bytes.Buffer
	_ = current.print(&b, &previous, output{}) // a buffer returns no error
	if !bytes.Equal(b.Bytes(), d.printed) {
		d.Write(b.Bytes())
	}
	d.printed = b.Bytes()
}

// progressSnapshot is what a command's own connectors are doing.
func progressSnapshot(at time.Time, progress []connect.Progress) statusSnapshot {
	l := statusSnapshot{at: at, connectors: map[string]expanded{}}
	for _, p := range progress {
		listed := rest.ConnectorSummary{Activity: connect.Activity{Refused: &p.Failed},
			ConnectorState: rest.ConnectorState{Name: p.Connector, Type: p.Type, State: p.State}}
		if p.IsLagKnown {
			listed.Lag = &p.Lag
		}
		l.connectors[p.Connector] = expanded{Status: connect.Status{Type: p.Type}, Listed: &listed,
			Motion: &connect.Metrics{Type: p.Type, Tasks: []connect.TaskMetrics{{Progress: &p}}}}
	}
	return l
}
