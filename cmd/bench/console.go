package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	viewers = 10
	// consolePeriod is the time over which the processor time of the worker is measured.
	consolePeriod = 20 * time.Second
	// firstPages is the number of responses over which the cost of a page is averaged.
	firstPages = 40
)

// measureConsole measures the CPU of a worker with 1,000 connectors for the first page of the console and for its
// viewers. A tenth of the connectors reads every 20 seconds, 2 % fail, 5 % are paused.
func measureConsole(ctx context.Context, b *bench) error {
	const rows, pageSize = 100, 100
	connectors := b.scale(1000)
	service, broker, err := b.startPeers(ctx, rows, pageSize)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	for _, side := range b.candidates() {
		w, err := b.startLarge(ctx, side, "console", connectors, service, broker)
		if err != nil {
			return err
		}
		err = w.measure(ctx, b, connectors)
		_ = w.stop()
		if err != nil {
			return fmt.Errorf("%s: %w: %.2000s", side.culvert, err, w.log.String())
		}
	}
	return nil
}

// largeWorker is a worker with many connectors.
type largeWorker struct {
	*program
	url string // of its REST API
}

// startLarge starts a worker on a data folder with compiled plugins. Workers with different names have different
// offsets, so each reads everything.
func (b *bench) startLarge(ctx context.Context, side candidate, name string, connectors int, service,
	broker *process) (*largeWorker, error) {
	data := filepath.Join(b.dir, "console-"+side.data)
	if err := b.warm(ctx, side, data); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	worker, err := b.writeFile(name+"-worker", workerSettings(name, broker.address))
	if err != nil {
		return nil, err
	}
	args := []string{"run", "--data", data, "--set", "listeners=http://" + address, worker}
	for n := range connectors {
		name := fmt.Sprintf("s4-sales-orders-%04d", n)
		periodSeconds := 3600
		s := smallSet
		switch {
		case n%10 == 1:
			periodSeconds = 20
		case n%50 == 2:
			s.name = "Missing"
		}
		settings := strings.Replace(connectorSettings(name, service.port(), s), "topic="+name,
			fmt.Sprintf("topic=s4.sales-orders.%d", n%50), 1)
		file, err := b.writeFile(name, fmt.Sprintf("%ssap.odata#00.exec-period=%d\n", settings, periodSeconds))
		if err != nil {
			return nil, err
		}
		args = append(args, file)
	}
	w := &largeWorker{url: "http://" + address}
	w.program, err = startProgram(ctx, side.culvert, args...)
	return w, err
}

func (w *largeWorker) measure(ctx context.Context, b *bench, connectors int) error {
	if err := w.settle(ctx, b, connectors); err != nil {
		return err
	}
	list, _, err := w.measureCost(ctx, b, "/culvert/connectors?limit=100")
	if err != nil {
		return err
	}
	page, size, err := w.measureCost(ctx, b, "/console/")
	if err != nil {
		return err
	}
	fmt.Printf("%d connectors, %.0f MiB resident; CPU of GET /culvert/connectors?limit=100: %.1f ms; of the first "+
		"page of the console, not cached: %.1f ms (aim 100), %.1f kB compressed (aim 60)\n", connectors,
		procMiB(w.Process.Pid, "status", "VmRSS"), list, page, size)
	var percentsWithout, percentsWith, differences []float64
	var responses traffic
	for range b.rounds {
		without, err := w.measurePercent(ctx, b)
		if err != nil {
			return err
		}
		viewersCtx, cancel := context.WithCancel(ctx)
		waitForViewers := w.startViewers(viewersCtx, &responses)
		err = b.wait(ctx, consolePeriod/10) // the first pages of the viewers are not measured
		responses.reset()
		var with float64
		if err == nil {
			with, err = w.measurePercent(ctx, b)
		}
		cancel()
		waitForViewers()
		if err != nil {
			return err
		}
		percentsWithout = append(percentsWithout, without)
		percentsWith = append(percentsWith, with)
		differences = append(differences, with-without)
	}
	fmt.Printf("%d viewers of the overview: %.1f %% of a core, without them %.1f %%, difference %.1f (aim 5), medians "+
		"of %d rounds of %v each\n", viewers, median(percentsWith), median(percentsWithout), median(differences),
		b.rounds, consolePeriod)
	fmt.Printf("%d polls of the last round had %.1f kB on average, at most %.1f kB: %d changed rows, %d whole lists\n",
		responses.polls, float64(responses.bytes)/1000/float64(max(responses.polls, 1)),
		float64(responses.maxBytes)/1000, responses.rows, responses.lists)
	return responses.err
}

// awaitLoads waits until every connector has finished its first load.
func (w *largeWorker) awaitLoads(ctx context.Context, b *bench, connectors int) error {
	for end := time.Now().Add(10 * time.Minute); ; {
		var list struct {
			Counts map[string]int
			Total  int
		}
		if body, _, err := w.get(ctx, "/culvert/connectors?limit=1"); err == nil {
			_ = json.Unmarshal(body, &list)
		}
		if list.Total == connectors && list.Counts["starting"]+list.Counts["loading"] == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("connectors did not start in 10 minutes: %v", list.Counts)
		}
		if err := b.wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

// settle waits until every connector has finished its first load, then pauses some.
func (w *largeWorker) settle(ctx context.Context, b *bench, connectors int) error {
	if err := w.awaitLoads(ctx, b, connectors); err != nil {
		return err
	}
	for n := 3; n < connectors; n += 20 {
		path := fmt.Sprintf("/connectors/s4-sales-orders-%04d/pause", n)
		r, err := http.NewRequestWithContext(ctx, "PUT", w.url+path, http.NoBody)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		answer.Body.Close()
	}
	return b.wait(ctx, consolePeriod)
}

// measurePercent waits for consolePeriod and returns the worker's processor time in it, in percent of a core.
func (w *largeWorker) measurePercent(ctx context.Context, b *bench) (float64, error) {
	cpuBefore := w.cpu()
	started := time.Now()
	err := b.wait(ctx, consolePeriod)
	return 100 * (w.cpu() - cpuBefore).Seconds() / time.Since(started).Seconds(), err
}

// cpu returns the processor time of the worker so far, in steps of a hundredth of a second.
func (w *largeWorker) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.Process.Pid))
	_, fields, _ := bytes.Cut(stat, []byte(") ")) // the name may contain spaces
	var user, system int64
	if values := strings.Fields(string(fields)); len(values) > 12 { // the fields 14 and 15 of proc(5), after the name
		user, _ = strconv.ParseInt(values[11], 10, 64)
		system, _ = strconv.ParseInt(values[12], 10, 64)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// measureCost requests a page firstPages times, and returns the CPU and the compressed size of one response.
func (w *largeWorker) measureCost(ctx context.Context, b *bench, path string,
) (milliseconds, kilobytes float64, err error) {
	backgroundPercent, err := w.measurePercent(ctx, b)
	if err != nil {
		return 0, 0, err
	}
	cpuBefore := w.cpu()
	started := time.Now()
	for range firstPages {
		body, size, err := w.get(ctx, path)
		if err != nil || len(body) == 0 {
			return 0, 0, fmt.Errorf("%s: no response: %w", path, err)
		}
		kilobytes = float64(size) / 1000
	}
	seconds := (w.cpu() - cpuBefore).Seconds() - backgroundPercent/100*time.Since(started).Seconds()
	return 1000 * seconds / firstPages, kilobytes, nil
}

func (w *largeWorker) get(ctx context.Context, path string) (body []byte, size int, err error) {
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+path, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	compressed, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s: %s %w", path, answer.Status, err)
	}
	if answer.Header.Get("Content-Encoding") != "gzip" {
		return compressed, len(compressed), nil
	}
	uncompressed, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, 0, err
	}
	body, err = io.ReadAll(uncompressed)
	return body, len(compressed), err
}

type traffic struct {
	mu sync.Mutex
	trafficCounts
	err error // the last error of a viewer
}

type trafficCounts struct {
	polls    int
	bytes    int // compressed, of all polls
	maxBytes int // compressed, of the largest response to a poll
	rows     int // changed rows of the list
	lists    int // responses with the whole list
}

func (t *traffic) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trafficCounts = trafficCounts{}
}

var fragmentMark = regexp.MustCompile(`data-fragment="(\w+)" data-version="([^"]*)"`)

// startViewers starts viewers, which open the overview within a second and then poll as the script of the console does,
// until ctx ends. wait waits until all have ended.
func (w *largeWorker) startViewers(ctx context.Context, responses *traffic) (wait func()) {
	var group sync.WaitGroup
	for n := range viewers {
		group.Go(func() {
			delay := time.Duration(n) * time.Second / viewers
			versions := map[string]string{}
			for ctx.Err() == nil {
				time.Sleep(delay)
				delay = time.Second
				err := w.poll(ctx, versions, responses)
				if err != nil && ctx.Err() == nil {
					responses.mu.Lock()
					responses.err = err
					responses.mu.Unlock()
				}
			}
		})
	}
	return group.Wait
}

// poll requests the page if versions is empty, otherwise the fragments of the page that have changed since. It updates
// versions, the version of each fragment by its name.
func (w *largeWorker) poll(ctx context.Context, versions map[string]string, responses *traffic) error {
	if len(versions) == 0 {
		page, _, err := w.get(ctx, "/console/")
		for _, mark := range fragmentMark.FindAllSubmatch(page, -1) {
			versions[string(mark[1])] = string(mark[2])
		}
		return err
	}
	var versionParameters []string
	for name, version := range versions {
		versionParameters = append(versionParameters, name+"."+version)
	}
	slices.Sort(versionParameters)
	body, size, err := w.get(ctx, "/console/?fragments="+url.QueryEscape(strings.Join(versionParameters, ",")))
	if err != nil {
		return err
	}
	var fragments map[string]struct {
		Version string
		HTML    string
		Rows    map[string]string
	}
	if err := json.Unmarshal(body, &fragments); err != nil {
		return err
	}
	responses.mu.Lock()
	defer responses.mu.Unlock()
	responses.polls++
	responses.bytes += size
	responses.maxBytes = max(responses.maxBytes, size)
	responses.rows += len(fragments["list"].Rows)
	if fragments["list"].HTML != "" {
		responses.lists++
	}
	for name, fragment := range fragments {
		versions[name] = fragment.Version
	}
	return nil
}
