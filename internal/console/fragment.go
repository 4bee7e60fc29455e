package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/rest"
)

// pageFragment is a part of a page that the browser polls. Its version is a hash: unchanged HTML is not sent.
type pageFragment struct {
	Name    string        `json:"-"`
	Version string        `json:"version"`
	HTML    template.HTML `json:"html"`
	// Rows are the changed rows of its tables, by element ID. If nothing else has changed, they are sent without HTML.
	Rows map[string]template.HTML `json:"rows,omitempty"`
}

// outline has the hashes of a fragment, to find what has changed.
type outline struct {
	rows  map[string]string // of each row, by its element ID
	frame string            // of everything else, including the order of the rows
}

// fragmentsParameter is the query parameter of the script: the versions of the fragments that it has.
const fragmentsParameter = "fragments"

const (
	rowStart = `<tr id="`
	rowEnd   = "</tr>"
)

// split returns the rows whose only attribute is an ID, and the outline. Quotes in users' texts are escaped.
func (f *pageFragment) split() (rows map[string]template.HTML, o outline) {
	var frame strings.Builder
	rows = map[string]template.HTML{}
	o.rows = map[string]string{}
	html := string(f.HTML)
	for {
		start := strings.Index(html, rowStart)
		if start < 0 {
			break
		}
		length := strings.Index(html[start:], rowEnd)
		if length < 0 {
			break
		}
		row := html[start : start+length+len(rowEnd)]
		id, _, isPlain := strings.Cut(row[len(rowStart):], `">`)
		frame.WriteString(html[:start+len(rowStart)+len(id)])
		if isPlain && !strings.Contains(id, `"`) {
			rows[id] = template.HTML(row)
			o.rows[id] = digest([]byte(row))
		} else {
			frame.WriteString(row)
		}
		html = html[start+len(row):]
	}
	frame.WriteString(html)
	o.frame = digest([]byte(frame.String()))
	return rows, o
}

// rendered is a page's content: its fragments by name, or an error.
type rendered struct {
	fragments map[string]pageFragment
	err       error
}

func digest(text []byte) string {
	hash := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(hash[:9]) // 12 characters
}

const (
	// cacheTTL is how long fragments are shared between viewers: with a poll per second, a failure shows within 2 s.
	// Fragments that took longer than 24 ms to render are shared for cacheFactor times as long, at most maxCacheTTL.
	cacheTTL       = 950 * time.Millisecond
	cacheFactor    = 40
	maxCacheTTL    = 2500 * time.Millisecond
	maxCachedPages = 64               // there is a page for each URL that is viewed
	maxCacheBytes  = 32 << 20         // of all pages; a viewer may request any number of them
	pageTTL        = 10 * time.Second // how long a page without viewers is kept
	maxOutlines    = 8                // the number of earlier versions of a fragment whose changed rows are known
	maxAnswers     = 16               // the number of answers that are compressed once for several viewers of a page
)

// pageCache holds the pages of the last seconds. The zero value is ready.
//
// Invariants: the cached pages are at most maxCachedPages, and have at most maxCacheBytes. While there are any, a timer
// drops those without viewers.
type pageCache struct {
	mu       sync.Mutex
	pages    map[pageInputs]*cachedPage
	hasTimer bool
}

// cachedPage has the fragments of a page that all viewers with equal rights see.
type cachedPage struct {
	mu        sync.Mutex
	content   rendered
	expiresAt time.Time
	answers   map[string]encodedAnswer // of content, by the versions that the viewer has
	outlines  map[string][]versionOutline
	// The following are guarded by the mutex of the cache.
	usedAt time.Time
	bytes  int // after the last answer
}

type versionOutline struct {
	version string
	outline
}

// encodedAnswer is JSON, also compressed.
type encodedAnswer struct {
	status     int
	plain      []byte
	compressed []byte
}

// answer returns the fragments that a viewer with known versions lacks. If the page has expired, the first caller
// renders it while others wait.
func (c *pageCache) answer(key pageInputs, known string, render func() rendered) encodedAnswer {
	p := c.page(key)
	encoded, size := p.answer(known, render)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.bytes = size + len(key.encodedQuery) + len(key.Base)
	c.limit()
	return encoded
}

// answer is [pageCache.answer] for one page. It also returns the page's size in bytes.
func (p *cachedPage) answer(known string, render func() rendered) (encoded encodedAnswer, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if start := time.Now(); !start.Before(p.expiresAt) {
		p.content = render()
		p.answers = map[string]encodedAnswer{}
		p.storeOutlines()
		cost := time.Since(start)
		p.expiresAt = start.Add(cost + min(max(cacheTTL, cacheFactor*cost), maxCacheTTL))
	}
	// Versions that the page did not have are left out: a viewer may invent some.
	var existing []string
	for part := range strings.SplitSeq(known, ",") {
		name, version, _ := strings.Cut(part, ".")
		if slices.ContainsFunc(p.outlines[name], func(o versionOutline) bool { return o.version == version }) {
			existing = append(existing, part)
		}
	}
	slices.Sort(existing)
	versions := strings.Join(slices.Compact(existing), ",")
	encoded, ok := p.answers[versions]
	if !ok {
		encoded = p.content.answer(versions, p.outlines)
	}
	if len(p.answers) < maxAnswers {
		p.answers[versions] = encoded
	}
	return encoded, p.size()
}

// size returns approximately how many bytes of memory the page needs.
func (p *cachedPage) size() (size int) {
	const entryBytes = 100 // of a map entry with its hash
	for _, fragment := range p.content.fragments {
		size += len(fragment.HTML)
	}
	for versions, encoded := range p.answers {
		size += len(versions) + cap(encoded.plain) + cap(encoded.compressed)
	}
	for _, outlines := range p.outlines {
		for _, o := range outlines {
			for id := range o.rows {
				size += len(id) + entryBytes
			}
		}
	}
	return size
}

func (p *cachedPage) storeOutlines() {
	if p.outlines == nil {
		p.outlines = map[string][]versionOutline{}
	}
	for name, fragment := range p.content.fragments {
		outlines := p.outlines[name]
		if slices.ContainsFunc(outlines, func(o versionOutline) bool { return o.version == fragment.Version }) {
			continue
		}
		_, current := fragment.split()
		if len(outlines) >= maxOutlines {
			outlines = outlines[1:]
		}
		p.outlines[name] = append(outlines, versionOutline{version: fragment.Version, outline: current})
	}
}

// answer returns the fragments that differ from known, which has NAME.VERSION separated by commas. If only rows of
// tables differ from one of the outlines, it returns these rows.
func (r *rendered) answer(known string, outlines map[string][]versionOutline) encodedAnswer {
	if r.err != nil {
		return encode(statusOf(r.err), map[string]string{"error": r.err.Error()})
	}
	changed := maps.Clone(r.fragments)
	for part := range strings.SplitSeq(known, ",") {
		name, version, _ := strings.Cut(part, ".")
		fragment := changed[name]
		if fragment.Version == version {
			delete(changed, name)
			continue
		}
		for _, earlier := range outlines[name] {
			if earlier.version == version {
				changed[name] = fragment.changesSince(&earlier.outline)
			}
		}
	}
	return encode(http.StatusOK, changed)
}

// changesSince returns the rows that differ from an earlier version, or the whole fragment if more than rows differ.
func (f pageFragment) changesSince(earlier *outline) pageFragment {
	rows, current := f.split()
	if earlier.frame != current.frame {
		return f
	}
	maps.DeleteFunc(rows, func(id string, _ template.HTML) bool { return earlier.rows[id] == current.rows[id] })
	if len(rows) == 0 { // the difference is in one of two rows with one ID
		return f
	}
	return pageFragment{Version: f.Version, Rows: rows}
}

func (c *pageCache) page(key pageInputs) *cachedPage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hasTimer {
		c.hasTimer = true
		time.AfterFunc(pageTTL, c.dropUnused)
	}
	p := c.pages[key]
	if p == nil {
		if c.pages == nil {
			c.pages = map[pageInputs]*cachedPage{}
		}
		p = &cachedPage{}
		c.pages[key] = p
	}
	p.usedAt = time.Now()
	c.limit()
	return p
}

// dropUnused drops the pages without viewers, and calls itself while there are others.
func (c *pageCache) dropUnused() {
	defer guard.Recover(nil, "the console's cache", nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.pages, func(_ pageInputs, p *cachedPage) bool { return time.Since(p.usedAt) >= pageTTL })
	c.hasTimer = len(c.pages) > 0
	if c.hasTimer {
		time.AfterFunc(pageTTL, c.dropUnused)
	}
}

// limit drops the pages that were not viewed for the longest time until the others are within the bounds. The next poll
// of their viewers adds them again. c.mu is held.
func (c *pageCache) limit() {
	total := 0
	for _, p := range c.pages {
		total += p.bytes
	}
	for total > maxCacheBytes || len(c.pages) > maxCachedPages {
		var oldest pageInputs // at first no page's key
		for key, p := range c.pages {
			if other := c.pages[oldest]; other == nil || p.usedAt.Before(other.usedAt) {
				oldest = key
			}
		}
		total -= c.pages[oldest].bytes
		delete(c.pages, oldest)
	}
}

func encode(status int, value any) encodedAnswer {
	var plain, compressed bytes.Buffer
	_ = json.NewEncoder(&plain).Encode(value) // does not fail: the value has only strings
	w, _ := gzip.NewWriterLevel(&compressed, gzip.BestSpeed)
	w.Write(plain.Bytes())
	w.Close()
	return encodedAnswer{status: status, plain: plain.Bytes(), compressed: compressed.Bytes()}
}

func (e encodedAnswer) write(p rest.Pages, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body := e.plain
	accepted := r.Header.Get("Accept-Encoding")
	if strings.Contains(accepted, "gzip") && !strings.Contains(accepted, "gzip;q=0") {
		w.Header().Set("Content-Encoding", "gzip")
		body = e.compressed
	}
	p.Send(w, r, e.status, body)
}
