package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// idleConnectors is how many connectors one worker gets by REST. They read a small set once and wait.
const idleConnectors = 1000

// group is how many of them are timed together, to show whether the last ones cost more than the first.
const group = 100

// connectors is what it costs a worker to have many connectors: made, paused, changed and deleted by REST, one request
// at a time, as scripts and operators of Kubernetes do.
func connectors(ctx context.Context, b *bench) error {
	fmt.Printf("%d connectors with a task each, made by REST one after another, each with one small set "+
		"that is read once an hour\n", b.some(idleConnectors))
	service, err := b.demo(ctx)
	if err != nil {
		return err
	}
	defer service.stop()
	for _, side := range b.sides() {
		if err := b.crowd(ctx, side.culvert, service); err != nil {
			return fmt.Errorf("%s: %w", side.culvert, err)
		}
	}
	return nil
}

// crowd does it with one binary.
func (b *bench) crowd(ctx context.Context, culvert string, service *process) error {
	broker, err := b.broker(ctx, "broker-crowd")
	if err != nil {
		return err
	}
	defer func() { broker.stop(); os.RemoveAll(filepath.Join(b.dir, "broker-crowd")) }()
	worker, _, err := b.configuration("crowd", broker.address, "0", set{"Categories", "json", 0})
	if err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	address := "127.0.0.1:" + ports[0]
	data := filepath.Join(b.dir, "crowd")
	defer os.RemoveAll(data)
	folder := filepath.Join(b.dir, "crowd-connectors")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := os.Rename(worker, filepath.Join(folder, "worker.properties")); err != nil {
		return err
	}
	c, err := begin(ctx, culvert, "run", "--data", data, "--log-level", "error", "--set",
		"listeners=http://"+address, "--config", folder)
	if err != nil {
		return err
	}
	r := &restOf{bench: b, url: "http://" + address, pid: c.Process.Pid}
	err = r.all(ctx, b.some(idleConnectors), service)
	_ = c.end()
	if err != nil {
		return fmt.Errorf("%w: %.2000s", err, c.log.String())
	}
	fmt.Printf("  %-34s %8.1f\n", "CPU of the worker, start to stop, s", c.used().cpu.Seconds())
	return nil
}

// restOf is the REST API of a worker.
type restOf struct {
	bench *bench
	url   string
	pid   int
}

// all goes through the life of the connectors.
func (r *restOf) all(ctx context.Context, count int, service *process) error {
	if err := r.awaitReady(ctx); err != nil {
		return err
	}
	none := taken(r.pid)
	fmt.Printf("  %-34s %8.0f   %v\n", "MiB with no connector", none.all(), none)
	if err := r.each(ctx, "made", count, func(n int) error {
		made := map[string]any{"name": nameOf(n), "config": settingsOf(n, service, "1")}
		return r.call(ctx, "POST", "/connectors", made, nil)
	}); err != nil {
		return err
	}
	if err := r.await(ctx, "RUNNING", count); err != nil {
		return err
	}
	if err := r.idle(ctx); err != nil {
		return err
	}
	if err := r.pages(ctx); err != nil {
		return err
	}
	if err := r.steps(ctx, count, service); err != nil {
		return err
	}
	if err := r.bench.rest(ctx, settled); err != nil {
		return err
	}
	gone := taken(r.pid)
	fmt.Printf("  %-34s %8.0f   %v\n", "MiB when all are gone", gone.all(), gone)
	return nil
}

// nameOf is the name of a connector.
func nameOf(n int) string { return fmt.Sprintf("c%04d", n) }

// settingsOf are the settings of a connector. retries is the one that is changed: it makes no difference to its work.
func settingsOf(n int, service *process, retries string) map[string]string {
	return map[string]string{"name": nameOf(n),
		"connector.class":        "org.init.ohja.kafka.connect.odatav2.source.OData2SourceConnector",
		"sap.odata.host.address": "127.0.0.1", "sap.odata.host.port": service.port(),
		"sap.odata.host.protocol": "http",
		"sap.odata.user.name":     "demo", "sap.odata.user.pwd": "secret", "sap.odata.max.retries": retries,
		"sap.odata#00.service": "/V2/Northwind/Northwind.svc", "sap.odata#00.entityset": "Categories",
		"sap.odata#00.topic": "crowd", "sap.odata#00.exec-period": "3600"}
}

// idle prints what the connectors take of memory and of the processor while they have nothing to do.
func (r *restOf) idle(ctx context.Context) error {
	if err := r.bench.rest(ctx, settled); err != nil {
		return err
	}
	idle := taken(r.pid)
	fmt.Printf("  %-34s %8.0f   aim 250; %v\n", "MiB with all of them idle", idle.all(), idle)
	before, since := worked(r.pid), time.Now()
	if err := r.bench.rest(ctx, settled); err != nil {
		return err
	}
	fmt.Printf("  %-34s %8.1f\n", "CPU while nothing happens, % of one",
		100*(worked(r.pid)-before).Seconds()/time.Since(since).Seconds())
	return nil
}

// pages prints how long the pages take that show all connectors.
func (r *restOf) pages(ctx context.Context) error {
	for _, page := range []string{"/connectors", "/connectors?expand=status", "/connectors?expand=status&expand=info",
		"/metrics"} {
		var took []float64
		var bytes int
		for range 5 {
			start := time.Now()
			n, err := r.size(ctx, page)
			if err != nil {
				return err
			}
			took, bytes = append(took, time.Since(start).Seconds()*1000), n
		}
		aim := ""
		if page == "/connectors?expand=status" {
			aim = "aim 100; "
		}
		fmt.Printf("  %-34s %8.1f   %s%d KiB\n", "ms for "+strings.TrimPrefix(page, "/connectors"), median(took), aim,
			bytes/1024)
	}
	return nil
}

// steps pauses, changes, resumes and deletes all connectors.
func (r *restOf) steps(ctx context.Context, count int, service *process) error {
	other := func(n int) any { return settingsOf(n, service, "2") }
	for _, step := range []struct {
		what, method, below string
		body                func(n int) any
		awaited             string
	}{{"paused", "PUT", "/pause", nil, "PAUSED"}, {"changed", "PUT", "/config", other, ""},
		{"resumed", "PUT", "/resume", nil, "RUNNING"}, {"deleted", "DELETE", "", nil, ""}} {
		err := r.each(ctx, step.what, count, func(n int) error {
			var body any
			if step.body != nil {
				body = step.body(n)
			}
			return r.call(ctx, step.method, "/connectors/"+nameOf(n)+step.below, body, nil)
		})
		if err == nil && step.awaited != "" {
			err = r.await(ctx, step.awaited, count)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each does something about all connectors, and prints what the first and the last of them took, in processor time of
// the worker, too: what its tasks do meanwhile is in it.
func (r *restOf) each(ctx context.Context, what string, count int, do func(n int) error) error {
	var groups, work []float64
	cpu, start := worked(r.pid), time.Now()
	for n := range count {
		began := time.Now()
		if err := do(n); err != nil {
			return fmt.Errorf("connector %d %s: %w", n, what, err)
		}
		if n%group == 0 {
			groups, work = append(groups, 0), append(work, worked(r.pid).Seconds())
		}
		groups[len(groups)-1] += time.Since(began).Seconds() * 1000 / group
	}
	last := len(groups) - 1
	work = append(work, worked(r.pid).Seconds())
	all, used := time.Since(start).Seconds(), (work[last+1] - cpu.Seconds())
	fmt.Printf("  %-34s %8.1f   the first %d %.1f (CPU %.1f), the last %.1f (%.1f); %.1f s in all, %.1f s CPU\n",
		"ms for each that is "+what, all*1000/float64(count), group, groups[0], (work[1]-work[0])*1000/group,
		groups[last], (work[last+1]-work[last])*1000/group, all, used)
	return ctx.Err()
}

// await waits until all connectors and their tasks are in a state.
func (r *restOf) await(ctx context.Context, state string, count int) error {
	start := time.Now()
	for {
		var all map[string]struct {
			Status struct {
				Connector struct{ State string }
				Tasks     []struct{ State, Trace string }
			}
		}
		if err := r.call(ctx, "GET", "/connectors?expand=status", nil, &all); err != nil {
			return err
		}
		there := 0
		for _, c := range all {
			ok := c.Status.Connector.State == state
			for _, t := range c.Status.Tasks {
				if t.State == "FAILED" {
					return fmt.Errorf("a task FAILED: %s", t.Trace)
				}
				ok = ok && t.State == state
			}
			if ok && len(c.Status.Tasks) > 0 {
				there++
			}
		}
		if there == count {
			fmt.Printf("  %-34s %8.1f\n", "s more until all are "+state, time.Since(start).Seconds())
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call makes a request whose answer must be a success.
func (r *restOf) call(ctx context.Context, method, path string, body, into any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	answer, err := io.ReadAll(a.Body)
	switch {
	case err != nil:
		return err
	case a.StatusCode >= 300:
		return &refused{a.StatusCode, fmt.Sprintf("%s %s: %d %.500s", method, path, a.StatusCode, answer)}
	case into != nil:
		return json.Unmarshal(answer, into)
	}
	return nil
}

// refused is the error of an answer that is no success.
type refused struct {
	status int
	text   string
}

func (r *refused) Error() string { return r.text }

// ready tells whether connectors can be made: who is not there is not found, and nothing is said to begin still.
func (r *restOf) ready(ctx context.Context) bool {
	var no *refused
	return errors.As(r.call(ctx, "DELETE", "/connectors/none", nil, nil), &no) && no.status == http.StatusNotFound
}

// awaitReady waits until connectors can be made.
func (r *restOf) awaitReady(ctx context.Context) error {
	for !r.ready(ctx) {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// size reads a page, and tells how many bytes it has.
func (r *restOf) size(ctx context.Context, path string) (int, error) {
	q, err := http.NewRequestWithContext(ctx, "GET", r.url+path, nil)
	if err != nil {
		return 0, err
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	n, err := io.Copy(io.Discard, a.Body)
	return int(n), err
}
