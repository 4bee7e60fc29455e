package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http/httptest"
	"reflect"
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
		assert.True(t, fragment.HTML != "" && fragment.Rows == nil,
			"%s: expected the whole fragment, found %+v", name, fragment)
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
		cache.answer(pageInputs{}, "list.v", render).write(rest.Pages{}, plain, r)
		r.Header.Set("Accept-Encoding", "deflate, gzip, br")
		cache.answer(pageInputs{}, "list.v", render).write(rest.Pages{}, compressed, r)
		assert.Equal(t, 1, renderings)
		assert.Equal(t, "gzip", compressed.Header().Get("Content-Encoding"))
		size := compressed.Body.Len()
		assert.True(t, size < 1000, "expected less than 1000 bytes, found %d", size)
		unzipped, err := gzip.NewReader(compressed.Body)
		require.NoError(t, err)
		var fromPlain, fromCompressed map[string]pageFragment
		require.NoError(t, json.NewDecoder(unzipped).Decode(&fromCompressed))
		require.NoError(t, json.Unmarshal(plain.Body.Bytes(), &fromPlain))
		assert.Equal(t, fromPlain, fromCompressed)
		time.Sleep(cacheTTL)
		cache.answer(pageInputs{}, "list.v", render)
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
			cache.answer(pageInputs{}, "", render)
			time.Sleep(sharedFor - time.Millisecond)
			cache.answer(pageInputs{}, "", render)
			assert.Equal(t, 1, renderings)
			time.Sleep(time.Millisecond)
			cache.answer(pageInputs{}, "", render)
			assert.Equal(t, 2, renderings)
		})
	}
}

// A page without viewers is dropped after a while, even if no other page is viewed.
func TestUnusedPagesAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		render := func() rendered { return listOf("a=1") }
		expectPages := func(names ...string) {
			t.Helper()
			cache.mu.Lock()
			defer cache.mu.Unlock()
			var cached []string
			for key := range cache.pages {
				cached = append(cached, key.name)
			}
			assert.Equal(t, names, slices.Sorted(slices.Values(cached)))
		}
		cache.answer(pageInputs{name: "closed"}, "", render)
		cache.answer(pageInputs{name: "open"}, "", render)
		for range 2 {
			time.Sleep(pageTTL - time.Second)
			cache.answer(pageInputs{name: "open"}, "", render)
		}
		time.Sleep(pageTTL / 2)
		expectPages("open")
		time.Sleep(2 * pageTTL)
		expectPages()
		cache.answer(pageInputs{name: "again"}, "", render)
		expectPages("again")
		time.Sleep(2 * pageTTL)
		expectPages()
	})
}

// Versions and pages that a viewer invents need no more memory than the bound. A page that is too large is sent without
// being cached.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		row := "a=" + strings.Repeat("x", 500_000)
		for n := range 1000 {
			cache.answer(pageInputs{name: "home"}, fmt.Sprint("list.", n), func() rendered { return listOf(row) })
		}
		home := cache.pages[pageInputs{name: "home"}]
		assert.Equal(t, 1, len(home.answers))
		for n := range 100 {
			key := pageInputs{encodedQuery: fmt.Sprint(n)}
			cache.answer(key, "", func() rendered { return listOf(row) })
			require.True(t, cache.pages[key] != nil, "expected the last page to be cached")
			time.Sleep(time.Millisecond)
		}
		bytes := 0
		for _, p := range cache.pages {
			bytes += p.size()
		}
		if most := maxCacheBytes - home.size(); bytes < most/2 || bytes > maxCacheBytes {
			t.Errorf("expected about %d bytes, found %d", maxCacheBytes, bytes)
		}
		large := strings.Repeat("x", maxCacheBytes/2)
		answer := cache.answer(pageInputs{}, "", func() rendered { return listOf("a=" + large) })
		assert.AtLeast(t, len(large), len(answer.plain), "the whole page: bytes")
		assert.Equal(t, 0, len(cache.pages))
	})
}

// Viewers share a page only if all inputs are the same, in whatever field they differ.
func TestPagesAreSharedByEqualInputs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cache pageCache
		var inputs pageInputs
		count := 1
		inputs.name = "x"
		for _, field := range fieldsOf(reflect.ValueOf(&inputs.viewer).Elem()) {
			if field.Kind() == reflect.Bool {
				field.SetBool(true)
			} else {
				field.SetString("x")
			}
			for range 2 {
				cache.answer(inputs, "", func() rendered { return listOf("a=1") })
			}
			assert.Equal(t, count, len(cache.pages))
			count++
		}
		assert.True(t, count >= 6, "expected more inputs, found %d", count)
	})
}

// fieldsOf returns the fields of a structure, including the fields of embedded structures.
func fieldsOf(v reflect.Value) (fields []reflect.Value) {
	if v.Kind() != reflect.Struct {
		return []reflect.Value{v}
	}
	for i := range v.NumField() {
		fields = append(fields, fieldsOf(v.Field(i))...)
	}
	return fields
}
