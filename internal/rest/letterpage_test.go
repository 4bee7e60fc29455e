package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/deadletters"
)

// manyLetters is a worker with a page of dead letters, which arrive in random order.
type manyLetters struct {
	logger
	letters []*kgo.Record // the newest first
}

func (m *manyLetters) worker() Worker { return m.as(m) }

func (m *manyLetters) ListDeadLetters(_ context.Context, _ string, query deadletters.Query,
	each func(deadletters.ListedLetter) error) (deadletters.Page, error) {
	start := 0
	if query.After != "" {
		fmt.Sscanf(query.After, "after %d", &start)
		start++
	}
	for _, index := range rand.Perm(len(m.letters) - start) {
		l := deadletters.Letter{Record: m.letters[start+index]}
		err := each(deadletters.ListedLetter{Index: index, After: fmt.Sprint("after ", start+index), Letter: &l})
		if err != nil {
			return deadletters.Page{}, err
		}
	}
	return deadletters.Page{Topic: "dlq"}, nil
}

// readLetters returns the sizes of all pages, and the offsets of their letters.
func (m *manyLetters) readLetters(t *testing.T, query string) (pages []int, offsets []int64) {
	t.Helper()
	for after := ""; ; {
		text := sendOnThisMachine(t, m, "GET", "/culvert/connectors/a/deadletters?"+query+after, "")
		var list DeadLetterList
		require.NoError(t, json.Unmarshal([]byte(text), &list))
		pages = append(pages, len(text))
		for _, l := range list.DeadLetters {
			offsets = append(offsets, l.Offset)
		}
		if list.Next == "" {
			return pages, offsets
		}
		after = "&after=" + strings.ReplaceAll(list.Next, " ", "+")
	}
}

// newLetters returns letters. value is the size of each value in bytes, header the size of each of a letter's headers.
func newLetters(count, value, headers, header int) *manyLetters {
	m := &manyLetters{}
	for n := range count {
		r := &kgo.Record{Offset: int64(n), Value: []byte(strings.Repeat("x", value))}
		for range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "h", Value: []byte(strings.Repeat("\x01", header))})
		}
		m.letters = append(m.letters, r)
	}
	return m
}

// A page of dead letters ends before the letter that does not fit, and all pages together have each letter once.
func TestPageOfDeadLettersIsBounded(t *testing.T) {
	const wholePage = 100
	for name, c := range map[string]struct {
		letters *manyLetters
		pages   int
	}{
		"small":            {letters: newLetters(wholePage, 10, 1, 1), pages: 1},
		"100 headers each": {letters: newLetters(wholePage, 10, 100, 2000), pages: 20},
		"100 large values": {letters: newLetters(wholePage, 1<<20, 0, 0), pages: 1},
	} {
		t.Run(name, func(t *testing.T) {
			pages, offsets := c.letters.readLetters(t, "show=all")
			assert.Equal(t, c.pages, len(pages))
			assert.AtMost(t, maxPageBytes+1000, slices.Max(pages), "pages of at most 2 MiB: bytes")
			for n, offset := range offsets {
				assert.Equal(t, int64(n), offset)
			}
			assert.Equal(t, wholePage, len(offsets))
		})
	}
}

// Two letters of exactly 2 MiB are one page; with one byte more they are two. So a letter of more than 2 MiB is alone.
func TestLettersFitExactly(t *testing.T) {
	for more, want := range map[int]int{0: 2, 1: 1} {
		for _, indexes := range [][]int{{0, 1}, {1, 0}} {
			var p letterPage
			for _, index := range indexes {
				p.add(pageEntry{index: index, size: maxPageBytes/2 + more*index})
			}
			assert.Equal(t, want, len(p.entries))
			assert.Equal(t, want == 1, p.isPast(1))
			assert.Equal(t, 0, p.entries[0].index)
		}
	}
	var p letterPage
	p.add(pageEntry{size: maxPageBytes + 1})
	assert.Equal(t, 1, len(p.entries))
	p = letterPage{}
	for index := range deadletters.PageSize + 1 { // a search by text returns more
		p.add(pageEntry{index: 2 * index})
	}
	assert.Equal(t, []int{deadletters.PageSize, 2 * deadletters.PageSize}, []int{len(p.entries), p.end})
}

// A page marks what it leaves out of a letter. The response with this letter alone has it.
func TestCutLetterIsLoadedAlone(t *testing.T) {
	m := newLetters(1, maxListedBytes+1, 40, 2000)
	m.letters[0].Key = m.letters[0].Value
	load := func(query string) DeadLetter {
		var list DeadLetterList
		text := sendOnThisMachine(t, m, "GET", "/culvert/connectors/a/deadletters?"+query, "")
		require.NoError(t, json.Unmarshal([]byte(text), &list))
		return list.DeadLetters[0]
	}
	listed := load("show=all")
	assert.Equal(t, true, listed.Record.Cut && listed.Record.KeyCut)
	assert.Equal(t, 32, len(listed.Headers))
	assert.Equal(t, 8, listed.HeadersMore)
	alone := load("letter=0@0")
	assert.Equal(t, false, alone.Record.Cut || alone.Record.KeyCut)
	assert.Equal(t, 40, len(alone.Headers))
	assert.Equal(t, 0, alone.HeadersMore)
}
