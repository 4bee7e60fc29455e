package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// listOf renders a fragment with a table: each row is ID=TEXT.
func listOf(rows ...string) rendered {
	html := "<p>head</p><table><tbody>\n"
	for _, row := range rows {
		id, text, _ := strings.Cut(row, "=")
		html += `<tr id="` + id + `"><td>` + text + "</td></tr>\n"
	}
	html += `<tr class="sum"><td>1</td></tr></tbody></table>`
	return rendered{fragments: map[string]pageFragment{
		"list": {Name: "list", Version: digest([]byte(html)), HTML: template.HTML(html)}}}
}

// A poll gets the rows that have changed since the version that it knows, and everything if more than rows has changed.
func TestChangedRows(t *testing.T) {
	t.Parallel()
	var p cachedPage
	known := map[string]string{}
	changes := func(name string, content rendered, since string) pageFragment {
		p.content = content
		p.remember()
		known[name] = content.fragments["list"].Version
		var found map[string]pageFragment
		encoded := content.answer("figures.x,list."+known[since], p.outlines)
		require.NoError(t, json.Unmarshal(encoded.plain, &found))
		return found["list"]
	}
	whole := changes("first", listOf("a=1", "b=1", "c=1"), "")
	assert.Equal(t, true, strings.Contains(string(whole.HTML), "<p>head</p>") && whole.Rows == nil)
	one := changes("second", listOf("a=1", "b=2", "c=1"), "first")
	assert.Equal(t, pageFragment{Version: known["second"], Rows: map[string]template.HTML{
		"b": `<tr id="b"><td>2</td></tr>`}}, one)
	two := changes("third", listOf("a=3", "b=2", "c=1"), "first")
	assert.Equal(t, 2, len(two.Rows), "since an earlier version")
	assert.Equal(t, pageFragment{}, changes("third", listOf("a=3", "b=2", "c=1"), "third"), "nothing has changed")
	for name, content := range map[string]rendered{"another order": listOf("b=2", "a=3", "c=1"),
		"a row less": listOf("a=3", "b=2"), "a row more": listOf("a=3", "b=2", "c=1", "d=1")} {
		found := changes(name, content, "third")
		assert.Equal(t, true, found.HTML != "" && found.Rows == nil, name)
	}
	for n := range 2 * maxOutlines {
		changes("last", listOf("a="+fmt.Sprint(n)), "")
	}
	assert.Equal(t, maxOutlines, len(p.outlines["list"]))
	emptied := rendered{fragments: map[string]pageFragment{"list": {Name: "list", Version: "0"}}}
	p.content = emptied
	p.remember()
	assert.Equal(t, `{"list":{"version":"0","html":""}}`,
		strings.TrimSpace(string(emptied.answer("list."+known["last"], p.outlines).plain)), "nothing is left")
	twice := changes("two rows of one ID", listOf("a=1", "a=2"), "")
	assert.Equal(t, true, twice.HTML != "")
	twice = changes("the first changes", listOf("a=3", "a=2"), "two rows of one ID")
	assert.Equal(t, true, twice.HTML != "" && twice.Rows == nil)
	forgotten := changes("new", listOf("a=new"), "third")
	assert.Equal(t, true, forgotten.HTML != "", "a version that is forgotten")
}

// Viewers with equal rights get one answer, which is rendered and compressed once.
func TestAnswersAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		renderings := 0
		render := func() rendered { renderings++; return listOf("a=" + strings.Repeat("x", 5000)) }
		plain := httptest.NewRecorder()
		compressed := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		cache.answer("key", "list.v", render).write(plain, r)
		r.Header.Set("Accept-Encoding", "deflate, gzip, br")
		cache.answer("key", "list.v", render).write(compressed, r)
		assert.Equal(t, 1, renderings)
		assert.Equal(t, "gzip", compressed.Header().Get("Content-Encoding"))
		assert.Equal(t, true, compressed.Body.Len() < 1000)
		unzipped, err := gzip.NewReader(compressed.Body)
		require.NoError(t, err)
		var one, other map[string]pageFragment
		require.NoError(t, json.NewDecoder(unzipped).Decode(&one))
		require.NoError(t, json.Unmarshal(plain.Body.Bytes(), &other))
		assert.Equal(t, other, one)
		for n := range 2 * maxAnswers {
			cache.answer("key", fmt.Sprint("list.", n), render)
		}
		assert.Equal(t, maxAnswers, len(cache.pages["key"].answers))
		time.Sleep(cacheTTL)
		cache.answer("key", "list.v", render)
		assert.Equal(t, 2, renderings)
	})
}

// A page is shared for 40 times as long as it took to make, at least 950 ms and at most 2.5 s.
func TestSlowPagesAreSharedLonger(t *testing.T) {
	t.Parallel()
	for cost, shared := range map[time.Duration]time.Duration{time.Millisecond: cacheTTL,
		50 * time.Millisecond: 2 * time.Second, 3 * time.Second: maxCacheTTL} {
		synctest.Test(t, func(t *testing.T) {
			var cache pageCache
			renderings := 0
			render := func() rendered {
				renderings++
				time.Sleep(cost)
				return listOf("a=1")
			}
			cache.answer("key", "", render)
			time.Sleep(shared - time.Millisecond)
			cache.answer("key", "", render)
			assert.Equal(t, 1, renderings)
			time.Sleep(time.Millisecond)
			cache.answer("key", "", render)
			assert.Equal(t, 2, renderings)
		})
	}
}

// A page that nobody has viewed for a while is dropped when another one is added.
func TestUnusedPagesAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		render := func() rendered { return listOf("a=1") }
		for _, key := range []string{"closed", "open"} {
			cache.answer(key, "", render)
		}
		time.Sleep(pageTTL)
		cache.answer("open", "", render)
		time.Sleep(time.Second)
		cache.answer("new", "", render)
		assert.Equal(t, []string{"new", "open"}, slices.Sorted(maps.Keys(cache.pages)))
	})
}
