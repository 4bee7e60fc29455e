package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// viewers is how many browsers look at the overview at a time.
	viewers = 10
	// watched is how long a turn is, with viewers or with none.
	watched = 10 * time.Second
	// listingCalls is how often a listing is asked for, since processor time is told in hundredths of a second.
	listingCalls = 200
)

var sampling = benchmark{"./host/internal/sampling", "BenchmarkSampling", `Batches of 500 rows of 1 KB through three transforms, with what a task does so that they can be looked at and without, in
turns, medians of processor time. times-off: while no sample is wanted (aim: 1.00). task-ms: what a sample of 20 rows takes of
the task (aim: 10, so that one a second takes 1 % of it); ms: with its question and its texts, which tasks do not wait for:`, 1,
	"100x", ""}

// console is what the pages for browsers take of a worker with many connectors.
func console(ctx context.Context, b *bench) error {
	service, err := b.demo(ctx)
	if err != nil {
		return err
	}
	defer service.stop()
	if err := b.consoleOf(ctx, service); err != nil {
		return err
	}
	if err := sampling.run(ctx, b); err != nil {
		return err
	}
	return b.consoleSize(ctx)
}

// consoleOf looks at a worker's pages.
func (b *bench) consoleOf(ctx context.Context, service *process) error {
	broker, err := b.broker(ctx, "broker-console")
	if err != nil {
		return err
	}
	defer broker.stop()
	folder := filepath.Join(b.dir, "console-connectors")
	expected, err := b.overviewFolder(folder, broker.address, service)
	if err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	address := "127.0.0.1:" + ports[0]
	c, err := begin(ctx, b.culvert, "run", "--data", filepath.Join(b.dir, "console"), "--log-level", "error", "--set",
		"listeners=http://"+address, "--config", folder)
	if err != nil {
		return err
	}
	defer c.end()
	r := &restOf{bench: b, url: "http://" + address, pid: c.Process.Pid}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return r.awaitCounts(ctx, expected) },
		func(ctx context.Context) error { return b.rest(ctx, settled) },
		r.views, r.firstPage, r.listings,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%w: %.2000s", err, c.log.String())
		}
	}
	return nil
}

// overviewFolder writes a worker's file and those of its connectors: half of them are idle, a quarter is paused, and
// of the others as many are stopped as have failed. counts is how many are in each state.
func (b *bench) overviewFolder(folder, broker string, service *process) (counts map[string]int, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	worker, _, err := b.configuration("console", broker, "0", set{"Categories", "json", 0})
	if err != nil {
		return nil, err
	}
	if err := os.Rename(worker, filepath.Join(folder, "worker.properties")); err != nil {
		return nil, err
	}
	counts = map[string]int{}
	states := []string{"idle", "paused", "idle", "failed", "idle", "paused", "idle", "stopped"}
	for n := range b.some(idleConnectors) {
		state := states[n%len(states)]
		counts[state]++
		file := map[string]any{"name": nameOf(n), "initial_state": "RUNNING"}
		settings := settingsOf(n, service, "1")
		switch state {
		case "failed":
			settings["sap.odata#00.entityset"] = "Missing"
		case "paused", "stopped":
			file["initial_state"] = strings.ToUpper(state)
		}
		file["config"] = settings
		text, err := json.Marshal(file)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(folder, nameOf(n)+".json"), text, 0o644); err != nil {
			return nil, err
		}
	}
	fmt.Printf("a worker with %d connectors from a folder: %v\n", b.some(idleConnectors), counts)
	return counts, nil
}

// awaitCounts waits until so many connectors are in each state.
func (r *restOf) awaitCounts(ctx context.Context, expected map[string]int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := r.awaitReady(ctx); err != nil {
		return err
	}
	for {
		var found struct{ Counts map[string]int }
		if err := r.call(ctx, "GET", "/culvert/connectors?limit=1", nil, &found); err != nil {
			return err
		}
		if fmt.Sprint(found.Counts) == fmt.Sprint(expected) {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("expected the states %v, found %v: %w", expected, found.Counts, ctx.Err())
		}
	}
}

// views has viewers and none in turns.
func (r *restOf) views(ctx context.Context) error {
	var core [2][]float64 // % of a core, with none and with viewers
	var most [2][]parts
	var polls, bytes int
	for range r.bench.rounds {
		for with := range 2 {
			stop := func() (int, int, error) { return 0, 0, nil }
			if with == 1 {
				stop = r.view(ctx, viewers)
			}
			memory := watchMemory(r.pid)
			cpu, began := worked(r.pid), time.Now()
			err := r.bench.rest(ctx, watched)
			core[with] = append(core[with], 100*(worked(r.pid)-cpu).Seconds()/time.Since(began).Seconds())
			most[with] = append(most[with], memory())
			n, of, wrong := stop()
			if err != nil || wrong != nil {
				return fmt.Errorf("%d viewers: %w", viewers, errors.Join(err, wrong))
			}
			polls, bytes = polls+n, bytes+of
		}
	}
	var more [2][]float64 // of a core, and MiB
	for n := range core[0] {
		more[0] = append(more[0], core[1][n]-core[0][n])
		more[1] = append(more[1], most[1][n].all()-most[0][n].all())
	}
	fmt.Printf("%d viewers of its overview against none, in turns of %v, medians of %d rounds; %d polls, %d bytes "+
		"each\n", viewers, watched, r.bench.rounds, polls, bytes/max(polls, 1))
	fmt.Printf("  %-34s %8.1f   aim 5; with them %.1f, with none %.1f; rounds %.1f\n", "% of a core that they take",
		median(more[0]), median(core[1]), median(core[0]), more[0])
	fmt.Printf("  %-34s %8.1f   aim 30; rounds %.1f, of which the first has what the collector lets grow\n",
		"MiB more at most", median(more[1]), more[1])
	fmt.Printf("  %-34s %8.0f   %v\n", "MiB before the first of them", most[0][0].all(), most[0][0])
	last := most[1][len(most[1])-1]
	fmt.Printf("  %-34s %8.0f   %v\n", "MiB with the last of them", last.all(), last)
	return nil
}

// fragmentOf is a part of a page, with its version.
var fragmentOf = regexp.MustCompile(`data-fragment="([^"]*)" data-version="([^"]*)"`)

// view has so many browsers look at the overview, as the console's script does, until the returned function is called,
// which tells how often they asked and how many bytes they got.
func (r *restOf) view(ctx context.Context, count int) (stop func() (polls, bytes int, err error)) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var mu sync.Mutex
	var polls, bytes int
	var failed error
	for n := range count {
		all.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			v := &viewer{rest: r, client: &http.Client{Transport: transport}, versions: map[string]string{}}
			err := v.look(ctx, time.Duration(n)*100*time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			polls, bytes = polls+v.polls, bytes+v.bytes
			if ctx.Err() == nil {
				failed = errors.Join(failed, err)
			}
		})
	}
	return func() (int, int, error) { cancel(); all.Wait(); return polls, bytes, failed }
}

// viewer is a browser that shows the overview.
type viewer struct {
	rest         *restOf
	client       *http.Client
	versions     map[string]string // of the fragments that it has
	polls, bytes int
}

// look opens the page after a while, and asks for what has changed a second after each answer, as the script does.
func (v *viewer) look(ctx context.Context, wait time.Duration) error {
	path := "/console/"
	between := time.Second
	if v.rest.bench.brief {
		between = 200 * time.Millisecond
	}
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		body, err := v.get(ctx, path)
		if err != nil {
			return err
		}
		if wait = between; path == "/console/" {
			for _, found := range fragmentOf.FindAllStringSubmatch(string(body), -1) {
				v.versions[found[1]] = found[2]
			}
		} else if err := v.take(body); err != nil {
			return err
		}
		if len(v.versions) == 0 {
			return fmt.Errorf("expected a page with fragments, found %.500s", body)
		}
		var known []string
		for name, version := range v.versions {
			known = append(known, name+"."+version)
		}
		slices.Sort(known)
		path = "/console/?fragments=" + url.QueryEscape(strings.Join(known, ","))
	}
}

// take notes the fragments of an answer.
func (v *viewer) take(body []byte) error {
	var changed map[string]struct{ Version, HTML string }
	if err := json.Unmarshal(body, &changed); err != nil {
		return err
	}
	for name, one := range changed {
		if one.HTML == "" {
			return fmt.Errorf("expected the fragment %s, found %.500s", name, body)
		}
		v.versions[name] = one.Version
	}
	v.polls, v.bytes = v.polls+1, v.bytes+len(body)
	return nil
}

// get asks as browsers do.
func (v *viewer) get(ctx context.Context, path string) ([]byte, error) {
	body, status, _, err := v.rest.conditional(ctx, v.client, path, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d %.500s", path, status, body)
	}
	return body, err
}

// conditional asks for what a client does not have of the version tag, "" for none.
func (r *restOf) conditional(ctx context.Context, client *http.Client, path, tag string) (body []byte, status int,
	now string, err error) {
	q, err := http.NewRequestWithContext(ctx, "GET", r.url+path, nil)
	if err != nil {
		return nil, 0, "", err
	}
	if tag != "" {
		q.Header.Set("If-None-Match", tag)
	}
	a, err := client.Do(q)
	if err != nil {
		return nil, 0, "", err
	}
	defer a.Body.Close()
	body, err = io.ReadAll(a.Body)
	return body, a.StatusCode, a.Header.Get("ETag"), err
}

// assetOf is a file that a page needs.
var assetOf = regexp.MustCompile(`(?:src|href)="(assets/[^"]*)"`)

// firstPage prints how long the overview takes a browser that has nothing of it yet, and how large it is.
func (r *restOf) firstPage(ctx context.Context) error {
	var took, whole []float64
	var bytes int
	for range 10 {
		transport := &http.Transport{}
		v := &viewer{rest: r, client: &http.Client{Transport: transport}}
		began := time.Now()
		page, err := v.get(ctx, "/console/")
		if err != nil {
			return err
		}
		took, bytes = append(took, time.Since(began).Seconds()*1000), len(page)
		for _, asset := range assetOf.FindAllStringSubmatch(string(page), -1) {
			one, err := v.get(ctx, "/console/"+asset[1])
			if err != nil {
				return err
			}
			bytes += len(one)
		}
		whole = append(whole, time.Since(began).Seconds()*1000)
		transport.CloseIdleConnections()
	}
	fmt.Printf("  %-34s %8.1f   aim 100; %.1f with style and script\n", "ms for the first page", median(took),
		median(whole))
	fmt.Printf("  %-34s %8.1f   aim 150\n", "kB of it, with style and script", float64(bytes)/1000)
	return nil
}

// listings prints what the route below the overview takes.
func (r *restOf) listings(ctx context.Context) error {
	for _, limit := range []string{"50", "1000"} {
		path := "/culvert/connectors?limit=" + limit
		_, _, tag, err := r.conditional(ctx, http.DefaultClient, path, "")
		if err != nil {
			return err
		}
		for _, known := range []string{"", tag} {
			calls, same, size := r.bench.some(listingCalls), 0, 0
			cpu := worked(r.pid)
			for range calls {
				body, status, now, err := r.conditional(ctx, http.DefaultClient, path, known)
				if err != nil {
					return err
				}
				if size = max(size, len(body)); status == http.StatusNotModified {
					same++
				} else if known != "" {
					known = now
				}
			}
			name, about := "ms CPU for limit="+limit, fmt.Sprintf("aim 20; %.1f kB", float64(size)/1000)
			if known != "" {
				name, about = name+", known", fmt.Sprintf("%d of %d answers were 304", same, calls)
			}
			fmt.Printf("  %-34s %8.2f   %s\n", name, (worked(r.pid)-cpu).Seconds()*1000/float64(calls), about)
		}
	}
	return nil
}

// noConsole is a package that takes the place of the console's, and has no page.
const noConsole = `package console

import (
	"net/http"

	api "github.com/culvert-project/culvert/host/rest"
)

func New(api.Pages) http.Handler { return http.NotFoundHandler() }
`

// consoleSize prints how much smaller the program is without the package of the console. The routes that its pages ask
// stay in it, and so does what other packages use of those that it imports.
func (b *bench) consoleSize(ctx context.Context) error {
	const folder = "host/console"
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil {
		return err
	}
	replaced := map[string]string{}
	for _, file := range files {
		if !strings.HasSuffix(file, "_test.go") {
			replaced[file] = ""
		}
	}
	stub, overlay := filepath.Join(b.dir, "console.go"), filepath.Join(b.dir, "overlay.json")
	replaced[folder+"/console.go"] = stub
	if err := os.WriteFile(stub, []byte(noConsole), 0o644); err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, text, 0o644); err != nil {
		return err
	}
	var sizes [2]int64
	for n, more := range [][]string{{"-overlay", overlay}, nil} {
		program := filepath.Join(b.dir, fmt.Sprintf("console-%d", n))
		args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-o", program}, more...)
		if err := tool(ctx, "go", append(args, "./cmd/culvert")...); err != nil {
			return err
		}
		info, err := os.Stat(program)
		if err != nil {
			return err
		}
		sizes[n] = info.Size()
		if err := os.Remove(program); err != nil {
			return err
		}
	}
	fmt.Printf("the program is %.0f kB larger than with an empty package in place of host/console, %.1f and %.1f MB "+
		"(aim: at most 1000 kB)\n", float64(sizes[1]-sizes[0])/1000, float64(sizes[1])/1e6, float64(sizes[0])/1e6)
	return nil
}
