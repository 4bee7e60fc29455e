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
	"github.com/culvert-project/culvert/internal/rest"
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

// A poll gets the rows that have changed since the version that it knows, and the whole fragment if more than rows has
// changed.
func TestPollGetsChangedRows(t *testing.T) {
	t.Parallel()
	var p cachedPage
	versions := map[string]string{} // by name
	changesSince := func(known, name string, content rendered) pageFragment {
		p.content = content
		p.storeOutlines()
		versions[name] = content.fragments["list"].Version
		var fragments map[string]pageFragment
		encoded := content.answer("figures.x,list."+versions[known], p.outlines)
		require.NoError(t, json.Unmarshal(encoded.plain, &fragments))
		return fragments["list"]
	}
	expectWhole := func(fragment pageFragment, name string) {
		t.Helper()
		if fragment.HTML == "" || fragment.Rows != nil {
			t.Errorf("%s: expected the whole fragment, found %+v", name, fragment)
		}
	}
	expectWhole(changesSince("", "first", listOf("a=1", "b=1", "c=1")), "first")
	want := pageFragment{Version: listOf("a=1", "b=2", "c=1").fragments["list"].Version,
		Rows: map[string]template.HTML{"b": `<tr id="b"><td>2</td></tr>`}}
	assert.Equal(t, want, changesSince("first", "second", listOf("a=1", "b=2", "c=1")), "one row")
	twoRows := changesSince("first", "third", listOf("a=3", "b=2", "c=1"))
	assert.Equal(t, 2, len(twoRows.Rows), "rows since an earlier version")
	assert.Equal(t, pageFragment{}, changesSince("third", "third", listOf("a=3", "b=2", "c=1")), "nothing has changed")
	for name, content := range map[string]rendered{
		"another order": listOf("b=2", "a=3", "c=1"),
		"a row less":    listOf("a=3", "b=2"),
		"a row more":    listOf("a=3", "b=2", "c=1", "d=1"),
	} {
		expectWhole(changesSince("third", name, content), name)
	}
	for n := range 2 * maxOutlines {
		changesSince("", "last", listOf("a="+fmt.Sprint(n)))
	}
	assert.Equal(t, maxOutlines, len(p.outlines["list"]))
	expectWhole(changesSince("third", "new", listOf("a=new")), "since a version whose outline was dropped")
	changesSince("", "two rows of one ID", listOf("a=1", "a=2"))
	expectWhole(changesSince("two rows of one ID", "the first changes", listOf("a=3", "a=2")), "two rows of one ID")
	empty := rendered{fragments: map[string]pageFragment{"list": {Name: "list", Version: "0"}}}
	encoded := empty.answer("list."+versions["new"], p.outlines)
	assert.Equal(t, `{"list":{"version":"0","html":""}}`, strings.TrimSpace(string(encoded.plain)), "an empty fragment")
}

// Viewers with equal rights share an answer, which is rendered and compressed once.
func TestAnswersAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		renderings := 0
		render := func() rendered {
			renderings++
			return listOf("a=" + strings.Repeat("x", 5000))
		}
		plain := httptest.NewRecorder()
		compressed := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		cache.answer("key", "list.v", render).write(rest.Pages{}, plain, r)
		r.Header.Set("Accept-Encoding", "deflate, gzip, br")
		cache.answer("key", "list.v", render).write(rest.Pages{}, compressed, r)
		assert.Equal(t, 1, renderings)
		assert.Equal(t, "gzip", compressed.Header().Get("Content-Encoding"))
		if size := compressed.Body.Len(); size >= 1000 {
			t.Errorf("expected less than 1000 bytes, found %d", size)
		}
		unzipped, err := gzip.NewReader(compressed.Body)
		require.NoError(t, err)
		var fromPlain, fromCompressed map[string]pageFragment
		require.NoError(t, json.NewDecoder(unzipped).Decode(&fromCompressed))
		require.NoError(t, json.Unmarshal(plain.Body.Bytes(), &fromPlain))
		assert.Equal(t, fromPlain, fromCompressed)
		for n := range 2 * maxAnswers {
			cache.answer("key", fmt.Sprint("list.", n), render)
		}
		assert.Equal(t, maxAnswers, len(cache.pages["key"].answers))
		time.Sleep(cacheTTL)
		cache.answer("key", "list.v", render)
		assert.Equal(t, 2, renderings)
	})
}

// A page is shared for 40 times as long as its rendering took, at least 950 ms and at most 2.5 s.
func TestSlowPagesAreSharedLonger(t *testing.T) {
	t.Parallel()
	for cost, sharedFor := range map[time.Duration]time.Duration{
		time.Millisecond:      cacheTTL,
		50 * time.Millisecond: 2 * time.Second,
		3 * time.Second:       maxCacheTTL,
	} {
		synctest.Test(t, func(t *testing.T) {
			var cache pageCache
			renderings := 0
			render := func() rendered {
				renderings++
				time.Sleep(cost)
				return listOf("a=1")
			}
			cache.answer("key", "", render)
			time.Sleep(sharedFor - time.Millisecond)
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
