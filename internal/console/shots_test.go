//go:build shots

package console

import (
	"context"
	"encoding/json"
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
	"github.com/culvert-project/culvert/internal/console/svg"
	"github.com/culvert-project/culvert/internal/history"
	"github.com/culvert-project/culvert/internal/rest"
)

// fixture answers as a worker with a connector in each state, or as one without connectors.
type fixture struct {
	answers map[string]json.RawMessage
	empty   bool
}

// recordedAt is the time of the answers in testdata/shots.json.
var recordedAt = time.Date(2026, 11, 28, 0, 44, 16, 0, time.UTC)

var (
	times   = regexp.MustCompile(`2026-11-28T\d\d:\d\d:\d\dZ`)
	minutes = regexp.MustCompile(`"rows_per_second":([\d.]+),"minutes":null`)
)

func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method + " " + r.URL.EscapedPath()
	parts := strings.Split(call, "/")
	if at := 2 + strings.Count(call, "/culvert/"); len(parts) > at {
		parts[at] = "*"
	}
	suffix := ""
	if strings.HasPrefix(r.Header.Get("Accept"), propertiesType) {
		suffix = " text"
	}
	answer := f.responses[call+"?"+r.URL.RawQuery]
	for _, key := range []string{call + suffix, strings.Join(parts, "/") + suffix} {
		if answer == nil {
			answer = f.responses[key]
		}
	}
	switch {
	case strings.HasSuffix(call, "/history"):
		answer, _ = json.Marshal(wave())
	case answer == nil || strings.Contains(call, "/none"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		answer = json.RawMessage(`{"error_code":404,"message":"Unknown connector none"}`)
	case f.empty && call != "GET /" && call != "GET /connector-plugins":
		answer = append(answer[:1:1], answer[len(answer)-1]) // an empty object or list
	}
	text := times.ReplaceAllStringFunc(string(answer), func(at string) string {
		recorded, _ := time.Parse(time.RFC3339, at)
		return recorded.Add(time.Since(recordedAt)).UTC().Format(time.RFC3339)
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
	for _, n := range svg.Merge(wave().Rows, 6, false) {
		rows = append(rows, new(int64(*n*rate/400)))
	}
	return rows
}

// wave is the history of an hour with some ups and downs.
func wave() history.History {
	series := func(scale, share float64) (values []*int64) {
		for i := range 360 {
			up := share * (math.Sin(float64(i)/20) + math.Mod(float64(i*7), 5)/5)
			values = append(values, new(int64(math.Round(scale*(1+up)))))
		}
		return values
	}
	from := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	return history.History{Step: 10, From: from, Rows: series(4000, 0.2), P50: series(18, 0.2), P95: series(40, 0.6),
		Errors: series(0, 0), Refused: series(1, 1),
		Lag: series(81_200, 0.3)}
}

// shot is a page of which pictures are taken.
type shot struct {
	name   string
	page   string
	worker http.Handler
}

func shots(t *testing.T) (list []shot) {
	data, err := os.ReadFile("testdata/shots.json")
	assert.NoError(t, err)
	full := &fixture{}
	assert.NoError(t, json.Unmarshal(data, &full.answers))
	add := func(worker http.Handler, prefix string, names ...string) {
		for i := 0; i < len(names); i += 2 {
			list = append(list, shot{prefix + names[i], names[i+1], worker})
		}
	}
	add(full, "", "overview", "", "overview-state", "?state=failed", "failed", "connector?name=hr-password",
		"loading", "connector?name=order-lines", "refusing", "connector?name=customers-to-crm",
		"idle", "connector?name=customers", "stopped", "connector?name=stopped", "offsets", "offsets?name=customers",
		"records-none", "records?name=customers", "records", "records?name=customers&sample=s1",
		"letters", "letters?name=customers-to-crm", "letters-all", "letters",
		"letter", "letters?name=customers-to-crm&letter=0%4017", "form", "form?name=customers",
		"form-sets", "form?name=customers#step-sets", "form-review", "form?name=customers#step-review",
		"new", "form", "new-class", "form?class=ODataSource", "workers", "workers", "services", "origins",
		"plugins", "plugins", "log", "log", "log-connector", "log?connector=customers", "error", "connector?name=none")
	none := &fixture{full.answers, true}
	add(none, "empty-", "overview", "", "plugins", "plugins", "services", "origins", "log", "log", "letters", "letters")
	return list
}

// TestShots takes pictures of every page, light and dark, wide and narrow, into the folder CULVERT_SHOTS. ONLY has the
// names of some, separated by commas.
func TestShots(t *testing.T) {
	folder := os.Getenv("CULVERT_SHOTS")
	assert.NoError(t, os.MkdirAll(folder, 0o700))
	program, err := exec.Command("../../testdata/peers/browser/fetch.sh").Output()
	assert.NoError(t, err)
	path, _, _ := strings.Cut(string(program), "\n")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Geteuid() == 0 { // it refuses to start with its sandbox
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	defer end()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	assert.NoError(t, chromedp.Do(ctx))
	for _, s := range shots(t) {
		if only := os.Getenv("ONLY"); only != "" && !strings.Contains(","+only+",", ","+s.name+",") {
			continue
		}
		server := httptest.NewServer(Environment{Title: "PRD", Accent: "red"}.New(rest.Pages{API: s.worker,
			ReadOnlyReason: func(*http.Request) string { return "" }}))
		for _, theme := range []string{"light", "dark"} {
			for _, wide := range []int64{1440, 390} {
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
				assert.NoError(t, err)
				assert.NoError(t, chromedp.Do(ctx, chromedp.EmulateViewport(wide, 900),
					chromedp.Navigate(server.URL+"/console/"+s.page)))
				picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				assert.NoError(t, err)
				file := filepath.Join(folder, fmt.Sprintf("%s-%s-%d.png", s.name, theme, wide))
				assert.NoError(t, os.WriteFile(file, picture, 0o600))
				over, err := chromedp.Run(ctx, chromedp.Evaluate[int](
					"document.documentElement.scrollWidth - innerWidth"))
				assert.NoError(t, err)
				if over > 0 {
					t.Errorf("%s: %d pixels stick out", file, over)
				}
			}
		}
		server.Close()
	}
}
