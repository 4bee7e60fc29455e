package feed

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/decode"
	"github.com/culvert-project/culvert/plugins/odata/edm"
	sdk "github.com/culvert-project/culvert/sdk/go"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// A GUID means the same in upper and in lower case, and Kafka compares keys by their bytes. Services write a GUID in
// one case in rows and in the other in deleted entries, addresses or notifications, and a delete by such a key would
// leave its row in Kafka for good. So, where deletes can come, the offset says in which case the feed's keys have
// GUIDs, which is that of the first row with a letter, and all keys are written so.

// GuidField is the field of the offset, with one of these for each GUID of the key.
const GuidField = "guids"

const (
	// caseOpen: no row of the first load had a letter so far. Behind that load it is caseLower: there may be no other
	// one, and what comes then, of notifications or out of dead letters, need not say so in the offset.
	caseOpen = '-'
	// caseLower, caseUpper: all keys in Kafka are written so, since the feed was begun; those of rows too.
	caseLower = 'l'
	caseUpper = 'u'
	// caseUnknown: the feed was begun before offsets said this, and no row of a load or of changes had a letter since.
	caseUnknown = '?'
	// caseLearntLower, caseLearntUpper: all rows since were written so. Rows in Kafka may be otherwise, so keys of rows
	// are as they come, and others are fitted.
	caseLearntLower = 'L'
	caseLearntUpper = 'U'
	// caseMixed: rows since were in both cases, so that all keys are as they come. Where rows tell their addresses,
	// those have been compared; else it is an assumption that a deleted entry is written as its row was.
	caseMixed = 'M'
)

// findGuids finds out which members of the key are GUIDs whose case matters.
func (f *Feed) findGuids() {
	f.guids = nil
	if !f.Options.Delta {
		return
	}
	for k, column := range f.Layout.Keys {
		if f.Layout.Columns[column].Type == edm.Guid {
			f.guids = append(f.guids, k)
		}
	}
}

// CarryGuids puts the field of an offset into the position that follows from it.
func (f *Feed) CarryGuids(position *[]wit.Field, offset []wit.Field) {
	if len(f.guids) == 0 || position == nil {
		return
	}
	cases := CasesOf(offset)
	if len(offset) == 0 {
		cases = slices.Repeat([]byte{caseOpen}, len(f.guids))
	}
	if len(cases) > 0 {
		*position = append(*position, wit.TextField(GuidField, string(cases)))
	}
}

// CasesOf is the field of an offset, empty where there is none.
func CasesOf(offset []wit.Field) []byte {
	if v, ok := wit.Lookup(offset, GuidField); ok && v.Text != nil {
		return []byte(*v.Text)
	}
	return nil
}

// GuidTag stands in the tags of requests without a position before what the field of the standing offset is.
const GuidTag = " " + GuidField + "="

// WithCases is a tag that tells it.
func (f *Feed) WithCases(tag string, offset []wit.Field) string {
	if cases := CasesOf(offset); len(f.guids) > 0 && len(cases) > 0 {
		return tag + GuidTag + string(cases)
	}
	return tag
}

// beginGuids readies the page.
func (pg *Reader) beginGuids(cases []byte) {
	pg.cases = append(pg.cases[:0], cases...)
	if len(pg.cases) != len(pg.Feed.guids) { // none, or those of another key
		pg.cases = append(pg.cases[:0], slices.Repeat([]byte{caseUnknown}, len(pg.Feed.guids))...)
	}
}

// SettleGuids settles the case of GUIDs of which a load that has ended had none with a letter.
func (pg *Reader) SettleGuids() {
	for i, c := range pg.cases {
		if c == caseOpen {
			pg.cases[i] = caseLower
		}
	}
}

// endGuids puts the field into the offset behind the page.
func (pg *Reader) endGuids(portion *wit.Portion) {
	if portion.Next == nil || len(pg.cases) == 0 ||
		!slices.ContainsFunc(pg.cases, func(c byte) bool { return c != caseUnknown }) {
		return
	}
	next := append(slices.Clone(*portion.Next), wit.TextField(GuidField, string(pg.cases)))
	portion.Next = &next
}

// eachGuid shows the texts of a key's GUIDs, in place, as far as the key can be read.
func (f *Feed) eachGuid(key []byte, show func(i int, text []byte)) {
	i := 0
	for k := range f.Layout.Keys {
		if i == len(f.guids) {
			break
		}
		size, err := datum.Skip(f.Key.Nodes, f.Key.Nodes[0].Members[k].Node, key)
		if err != nil {
			return
		}
		if f.guids[i] == k {
			text, _ := datum.Block(key[:size])
			show(i, text)
			i++
		}
		key = key[size:]
	}
}

// lettersOf tells whether a GUID has letters of lower and of upper case, and whether the first one is of upper case.
func lettersOf(text []byte) (lower, upper, first bool) {
	for _, c := range text {
		switch {
		case c >= 'a':
			lower = true
		case c >= 'A':
			first = first || !lower
			upper = true
		}
	}
	return lower, upper, first
}

// learnGuids takes note of the case in which rows have their GUIDs.
func (pg *Reader) learnGuids(out *decode.Output) {
	if len(pg.cases) == 0 {
		return
	}
	for i := range out.Rows {
		pg.Feed.eachGuid(KeyOf(&out.Rows[i], out.Data), func(n int, text []byte) {
			lower, upper, first := lettersOf(text)
			at := &pg.cases[n]
			switch {
			case !lower && !upper:
			case *at == caseOpen && first:
				*at = caseUpper
			case *at == caseOpen:
				*at = caseLower
			case *at == caseLearntLower && upper, *at == caseLearntUpper && lower, *at == caseUnknown && lower && upper:
				*at = caseMixed
				sdk.Log(wit.LevelWarn, pg.What()+": rows come with GUIDs in upper and in lower case; deleted entries "+
					"are taken to write them as their rows do")
			case *at == caseUnknown && upper:
				*at = caseLearntUpper
			case *at == caseUnknown:
				*at = caseLearntLower
			}
		})
	}
}

// fit writes a GUID as the feed's keys have it; row: it is that of a row. It tells whether that changes it.
func (pg *Reader) fit(i int, text []byte, row bool) (changed bool) {
	to := pg.cases[i]
	upper := to == caseUpper || to == caseLearntUpper && !row
	if !upper && to != caseLower && (to != caseLearntLower || row) {
		return false
	}
	for n, c := range text {
		switch {
		case upper && c >= 'a':
			text[n], changed = c-('a'-'A'), true
		case !upper && c >= 'A' && c < 'a':
			text[n], changed = c+('a'-'A'), true
		}
	}
	return changed
}

// FitRows writes the keys of rows as the feed's keys are. The values stay as the service wrote them.
func (pg *Reader) FitRows(rows []wit.Row, data []byte) []byte {
	if len(pg.cases) == 0 {
		return data
	}
	for i := range rows {
		row, start := &rows[i], len(data)
		data = append(data, KeyOf(row, data)...) // the key may be part of the value
		changed := false
		pg.Feed.eachGuid(data[start:], func(n int, text []byte) { changed = pg.fit(n, text, true) || changed })
		if !changed {
			data = data[:start]
			continue
		}
		row.Key.Start = uint32(start)
	}
	return data
}

// FitKeys writes encoded keys that are not a row's as the feed's keys are.
func (pg *Reader) FitKeys(raws [][]byte) {
	for i := range pg.cases {
		text, _ := datum.Block(raws[pg.Feed.guids[i]])
		pg.fit(i, text, false)
	}
}

// alikeButForGuids tells whether two encoded keys differ at most in the case of GUIDs that is no matter.
func (pg *Reader) alikeButForGuids(raws [][]byte, key []byte) bool {
	own := pg.Feed.SplitKey(key)
	if own == nil || slices.Contains(pg.cases, caseMixed) {
		return false
	}
	for k := range own {
		a, b := string(raws[k]), string(own[k])
		if a != b && !(slices.Contains(pg.Feed.guids, k) && strings.EqualFold(a, b)) {
			return false
		}
	}
	return true
}
