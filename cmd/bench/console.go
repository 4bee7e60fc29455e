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
	viewers       = 10
	consolePeriod = 20 * time.Second
	// firstPages is the number of distinct first pages whose cost is measured.
	firstPages = 40
)

// console measures the CPU of a worker with 1,000 connectors for the first page of the console and for its viewers. A
// tenth of the connectors reads every 20 seconds, 2 % fail, 5 % are paused.
func console(ctx context.Context, b *bench) error {
	connectors := b.scaled(1000)
	service, broker, err := b.peers(ctx, 100, 100)
	if err != nil {
		return err
	}
	defer service.stop()
	defer broker.stop()
	for _, side := range b.candidates() {
		w, err := b.startLarge(ctx, side, connectors, service, broker)
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

// largeWorker is a worker with many connectors and its address.
type largeWorker struct {
	*program
	url string
}

func (b *bench) startLarge(ctx context.Context, side candidate, connectors int, service,
	broker *process) (*largeWorker, error) {
	data := filepath.Join(b.dir, "console-"+side.data)
	if err := b.warm(ctx, side, data); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	worker, template, err := b.configuration("console", broker.address, service.port(), set{"Categories", "json", 0})
	if err != nil {
		return nil, err
	}
	settings, err := os.ReadFile(template)
	if err != nil {
		return nil, err
	}
	args := []string{"run", "--data", data, "--set", "listeners=http://" + address, worker}
	for n := range connectors {
		name := fmt.Sprintf("s4-sales-orders-%04d", n)
		period := 3600
		entitySet := "Categories"
		switch {
		case n%10 == 1:
			period = 20
		case n%50 == 2:
			entitySet = "Missing"
		}
		properties := strings.NewReplacer("name=console", "name="+name, "entityset=Categories", "entityset="+entitySet,
			"topic=console", fmt.Sprintf("topic=s4.sales-orders.%d", n%50)).Replace(string(settings))
		properties += fmt.Sprintf("sap.odata#00.exec-period=%d\n", period)
		file := filepath.Join(b.dir, name+".properties")
		if err := os.WriteFile(file, []byte(properties), 0o644); err != nil {
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
	list, _, err := w.cost(ctx, b, "/culvert/connectors?limit=100")
	if err != nil {
		return err
	}
	page, size, err := w.cost(ctx, b, "/console/")
	if err != nil {
		return err
	}
	fmt.Printf("%d connectors, %.0f MiB resident; CPU of GET /culvert/connectors?limit=100: %.1f ms; of the first "+
		"page of the console, not cached: %.1f ms (aim 100), %.1f kB compressed (aim 60)\n", connectors,
		status(w.Process.Pid, "status", "VmRSS"), list, page, size)
	var alone, viewed, differences []float64
	var seen traffic
	for range b.rounds {
		without, err := w.percent(ctx, b)
		if err != nil {
			return err
		}
		watching, end := context.WithCancel(ctx)
		stopped := w.watch(watching, &seen)
		err = b.wait(ctx, consolePeriod/10) // the pages themselves are not measured
		seen.reset()
		var with float64
		if err == nil {
			with, err = w.percent(ctx, b)
		}
		end()
		stopped()
		if err != nil {
			return err
		}
		alone = append(alone, without)
		viewed = append(viewed, with)
		differences = append(differences, with-without)
	}
	fmt.Printf("%d viewers of the overview: %.1f %% of a core, without them %.1f %%, difference %.1f (aim 5), medians "+
		"of %d rounds of %v each\n", viewers, median(viewed), median(alone), median(differences), b.rounds,
		consolePeriod)
	fmt.Printf("%d polls of the last round had %.1f kB on average, at most %.1f kB: %d changed rows, %d whole lists\n",
		seen.polls, float64(seen.bytes)/1000/float64(max(seen.polls, 1)), float64(seen.maximum)/1000, seen.rows,
		seen.lists)
	return seen.err
}

// settle waits until every connector has had its first load, and pauses some.
func (w *largeWorker) settle(ctx context.Context, b *bench, connectors int) error {
	for end := time.Now().Add(10 * time.Minute); ; {
		var list struct {
			Counts map[string]int
			Total  int
		}
		if answer, err := http.Get(w.url + "/culvert/connectors?limit=1"); err == nil {
			_ = json.NewDecoder(answer.Body).Decode(&list)
			answer.Body.Close()
		}
		if list.Total == connectors && list.Counts["starting"]+list.Counts["loading"] == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("connectors did not start in 10 minutes: %v", list.Counts)
		}
		if err := b.wait(ctx, time.Second); err != nil {
			return err
		}
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

// percent returns the processor time of the worker during a period.
func (w *largeWorker) percent(ctx context.Context, b *bench) (float64, error) {
	from := w.cpu()
	started := time.Now()
	err := b.wait(ctx, consolePeriod)
	return 100 * (w.cpu() - from).Seconds() / time.Since(started).Seconds(), err
}

// cpu returns the processor time of the worker so far, in steps of a hundredth of a second.
func (w *largeWorker) cpu() time.Duration {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.Process.Pid))
	_, fields, _ := bytes.Cut(stat, []byte(") ")) // the name may contain spaces
	var user, system int64
	if values := strings.Fields(string(fields)); len(values) > 12 {
		user, _ = strconv.ParseInt(values[11], 10, 64)
		system, _ = strconv.ParseInt(values[12], 10, 64)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// cost requests a page again and again, and returns the CPU and the compressed size of one response.
func (w *largeWorker) cost(ctx context.Context, b *bench, path string) (milliseconds, kilobytes float64, err error) {
	background, err := w.percent(ctx, b)
	if err != nil {
		return 0, 0, err
	}
	from := w.cpu()
	started := time.Now()
	for range firstPages {
		body, size, err := w.get(ctx, path)
		if err != nil || len(body) == 0 {
			return 0, 0, fmt.Errorf("%s: no response: %w", path, err)
		}
		kilobytes = float64(size) / 1000
	}
	cost := (w.cpu() - from).Seconds() - background/100*time.Since(started).Seconds()
	return 1000 * cost / firstPages, kilobytes, nil
}

// get returns a response and its compressed size.
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

// traffic is what all viewers receive.
type traffic struct {
	mu sync.Mutex
	received
	err error
}

type received struct {
	polls int
	// bytes are compressed, of all polls, and maximum of one.
	bytes   int
	maximum int
	// rows of the list were sent because they changed, lists because more than rows did.
	rows  int
	lists int
}

func (t *traffic) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received = received{}
}

var fragmentMark = regexp.MustCompile(`data-fragment="(\w+)" data-version="([^"]*)"`)

// watch starts viewers, who open the overview within a second and then poll as the script of the console does.
func (w *largeWorker) watch(ctx context.Context, seen *traffic) (wait func()) {
	var group sync.WaitGroup
	for n := range viewers {
		group.Go(func() {
			delay := time.Duration(n) * time.Second / viewers
			versions := map[string]string{}
			for ctx.Err() == nil {
				time.Sleep(delay)
				delay = time.Second
				err := w.poll(ctx, versions, seen)
				if err != nil && ctx.Err() == nil {
					seen.mu.Lock()
					seen.err = err
					seen.mu.Unlock()
				}
			}
		})
	}
	return group.Wait
}

// poll reads the page if no versions are known, and else what has changed since these.
func (w *largeWorker) poll(ctx context.Context, versions map[string]string, seen *traffic) error {
	if len(versions) == 0 {
		page, _, err := w.get(ctx, "/console/")
		for _, mark := range fragmentMark.FindAllSubmatch(page, -1) {
			versions[string(mark[1])] = string(mark[2])
		}
		return err
	}
	var known []string
	for name, version := range versions {
		known = append(known, name+"."+version)
	}
	slices.Sort(known)
	body, size, err := w.get(ctx, "/console/?fragments="+url.QueryEscape(strings.Join(known, ",")))
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
	seen.mu.Lock()
	defer seen.mu.Unlock()
	seen.polls++
	seen.bytes += size
	seen.maximum = max(seen.maximum, size)
	seen.rows += len(fragments["list"].Rows)
	if fragments["list"].HTML != "" {
		seen.lists++
	}
	for name, fragment := range fragments {
		versions[name] = fragment.Version
	}
	return nil
}
