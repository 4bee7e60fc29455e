//go:build shots

package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

// fixture is the REST API of a worker with a connector in each state, or of a worker without connectors.
type fixture struct {
	responses map[string]json.RawMessage
	isEmpty   bool // it has no connectors
}

// recordedAt is the time of the responses in testdata/shots.json.
var recordedAt = time.Date(2026, 11, 28, 0, 44, 16, 0, time.UTC)

var (
	timestamps = regexp.MustCompile(`2026-11-28T\d\d:\d\d:\d\dZ`)
	minutes    = regexp.MustCompile(`"rows_per_second":([\d.]+),"minutes":null`)
)

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.EscapedPath()
	parts := strings.Split(call, "/")
	if name := 2 + strings.Count(call, "/culvert/"); len(parts) > name {
		parts[name] = "*"
	}
	suffix := ""
	if strings.HasPrefix(r.Header.Get("Accept"), propertiesType) {
		suffix = " text"
	}
	response := f.responses[call+"?"+r.URL.RawQuery]
	for _, key := range []string{call + suffix, strings.Join(parts, "/") + suffix} {
		if response == nil {
			response = f.responses[key]
		}
	}
	switch {
	case strings.HasSuffix(call, "/history"):
		response, _ = json.Marshal(wave())
	case response == nil || strings.Contains(call, "/none"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		response = json.RawMessage(`{"error_code":404,"message":"Unknown connector none"}`)
	case f.isEmpty && call != "GET /" && call != "GET /connector-plugins":
		response = append(response[:1:1], response[len(response)-1]) // an empty object or list
	}
	text := timestamps.ReplaceAllStringFunc(string(response), func(timestamp string) string {
		date, _ := time.Parse(time.RFC3339, timestamp)
		return date.Add(time.Since(recordedAt)).UTC().Format(time.RFC3339)
	})
	text = minutes.ReplaceAllStringFunc(text, func(member string) string {
		rate, _ := strconv.ParseFloat(minutes.FindStringSubmatch(member)[1], 64)
		data, _ := json.Marshal(minutesOf(rate))
		return strings.Replace(member, "null", string(data), 1)
	})
	if suffix != "" {
		_ = json.Unmarshal([]byte(text), &text)
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	_, _ = w.Write([]byte(text))
}

// minutesOf returns the rows of each minute at a mean rate.
func minutesOf(rate float64) (rows []*int64) {
	for _, n := range mergeSteps(wave().Rows, 6, false) {
		rows = append(rows, new(int64(*n*rate/400)))
	}
	return rows
}

// wave returns the history of an hour with some ups and downs.
func wave() history.History {
	series := func(mean, share float64) (values []*int64) {
		for i := range 360 {
			deviation := share * (math.Sin(float64(i)/20) + math.Mod(float64(i*7), 5)/5)
			values = append(values, new(int64(math.Round(mean*(1+deviation)))))
		}
		return values
	}
	from := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	return history.History{
		Step:    10,
		From:    from,
		Rows:    series(4000, 0.2),
		P50:     series(18, 0.2),
		P95:     series(40, 0.6),
		Errors:  series(0, 0),
		Refused: series(1, 1),
		Lag:     series(81_200, 0.3),
	}
}

// shot is a page of which pictures are taken.
type shot struct {
	name   string
	page   string
	worker http.Handler
}

// starting returns what the worker waits for in the picture of a start.
func (s shot) starting() error {
	if s.name != "starting" {
		return nil
	}
	return errors.New("Connectors are being checked: 312 of 737. Plugins are being compiled, once: 1 of 3 done, " +
		"odata-sink for 12 s, smt for 12 s.")
}

func shots(t *testing.T) []shot {
	data, err := os.ReadFile("testdata/shots.json")
	assert.NoError(t, err)
	full := &fixture{}
	assert.NoError(t, json.Unmarshal(data, &full.responses))
	empty := &fixture{responses: full.responses, isEmpty: true}
	return []shot{
		{"overview", "", full},
		{"starting", "", full},
		{"overview-state", "?state=failed", full},
		{"failed", "connector?name=hr-password", full},
		{"loading", "connector?name=order-lines", full},
		{"refusing", "connector?name=customers-to-crm", full},
		{"idle", "connector?name=customers", full},
		{"stopped", "connector?name=stopped", full},
		{"offsets", "offsets?name=customers", full},
		{"records-none", "records?name=customers", full},
		{"records", "records?name=customers&sample=s1", full},
		{"letters", "letters?name=customers-to-crm", full},
		{"letters-all", "letters", full},
		{"letter", "letters?name=customers-to-crm&letter=0%4017", full},
		{"form", "form?name=customers", full},
		{"form-sets", "form?name=customers#step-sets", full},
		{"form-review", "form?name=customers#step-review", full},
		{"new", "form", full},
		{"new-class", "form?class=ODataSource", full},
		{"workers", "workers", full},
		{"services", "origins", full},
		{"plugins", "plugins", full},
		{"log", "log", full},
		{"log-connector", "log?connector=customers", full},
		{"error", "connector?name=none", full},
		{"empty-overview", "", empty},
		{"empty-plugins", "plugins", empty},
		{"empty-services", "origins", empty},
		{"empty-log", "log", empty},
		{"empty-letters", "letters", empty},
	}
}

// TestShots takes pictures of every page, light and dark, wide and narrow, into the folder CULVERT_SHOTS. The variable
// ONLY, if set, has the names of the pages to take, separated by commas.
func TestShots(t *testing.T) {
	folder := os.Getenv("CULVERT_SHOTS")
	assert.NoError(t, os.MkdirAll(folder, 0o700))
	program, err := exec.Command("../../testdata/peers/browser/fetch.sh").Output()
	assert.NoError(t, err)
	path, _, _ := strings.Cut(string(program), "\n")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Geteuid() == 0 { // as root the browser does not start with its sandbox
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stopBrowser := chromedp.NewExecAllocator(context.Background(), options...)
	defer stopBrowser()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	assert.NoError(t, chromedp.Do(ctx))
	for _, s := range shots(t) {
		if only := os.Getenv("ONLY"); only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		server := httptest.NewServer(Environment{Title: "PRD", Accent: "red"}.New(rest.Pages{API: s.worker,
			Starting: s.starting, Rights: func(*http.Request) rest.Rights { return rest.Rights{} }}))
		for _, theme := range []string{"light", "dark"} {
			for _, width := range []int64{1440, 390} {
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
				assert.NoError(t, err)
				assert.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900),
					chromedp.Navigate(server.URL+"/console/"+s.page)))
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				assert.NoError(t, err)
				file := filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", s.name, theme, width))
				assert.NoError(t, os.WriteFile(file, picture, 0o600))
				overflow, err := chromedp.Run(ctx, chromedp.Evaluate[int](
					"document.documentElement.scrollWidth - innerWidth"))
				assert.NoError(t, err)
				if overflow > 0 {
					t.Errorf("%s: expected no overflow, found %d pixels", file, overflow)
				}
			}
		}
		server.Close()
	}
}
