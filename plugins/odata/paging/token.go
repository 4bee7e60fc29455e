package paging

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/uri"
)

// A next link that says how many rows to skip leads elsewhere when rows before it come or go, and hides others (P3).
// Services write the number in many ways: $skip=1000; $skiptoken=1000, as CAP does; base64 of
// {"startRow":1000,"endRow":2000}, as SAP SuccessFactors does (SAP KBA 2489065), or of $rows=500&$offset=1000, as CAP
// does where $top is asked for too. Only a link that holds the last row's key is known to lead to what is after that
// row whatever comes or goes.

// CountsRows reports whether rows that come or go may shift what the next link of the page that was asked for at
// `asked` leads to, as far as is known. last is the key of the last row before it, seen the number of rows up to there.
// Where keys are the numbers from 1 on, the link's number may be the key or the count: unless is that number then, and
// rows are hidden only if the first one of the next page is not the one after it, see [Set.MayHideRows].
func (s *Set) CountsRows(link, asked string, last []byte, seen int) (yes bool, unless string) {
	texts := s.plainKey(last)
	switch {
	case s.linkHasKey(link, asked, texts, seen):
		return false, ""
	case s.Keys != nil && s.Keys.Whole() && s.linkHasKey(link, asked, texts):
		return false, texts[0]
	}
	return true, ""
}

// MayHideRows reports whether rows may have been hidden between the row with the number `last` for its key and the
// first one of the page after it, whose key is given.
func (s *Set) MayHideRows(last string, first []byte) bool {
	before, err := strconv.ParseInt(last, 10, 64)
	texts := s.plainKey(first)
	return err != nil || texts == nil || texts[0] != strconv.FormatInt(before+1, 10)
}

// maxLink is how long a link may be that is read, in bytes: servers take no longer ones.
const maxLink = 16 << 10

// linkHasKey reports whether a next link of the page that was asked for at `asked` holds the key of the last row, and
// not how many rows to skip; of one that can't be read nobody knows, and rows may be hidden by it as by a number. keys
// are the parts of the key, counts the numbers of rows up to there that the link may mean. A number that happens to be
// both a count and the key does no harm: going by key reads the same rows.
func (s *Set) linkHasKey(link, asked string, keys []string, counts ...int) bool {
	if len(link) > maxLink {
		return false
	}
	_, query, _ := strings.Cut(link, "?")
	_, before, _ := strings.Cut(asked, "?")
	var own []string // what the service has added
	given := strings.Split(before, "&")
	for i := range given {
		given[i] = uri.Unescape(given[i])
	}
	var numbers []int
	for option := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(option, "=")
		name, text = uri.Unescape(name), uri.Unescape(text)
		switch {
		case name == "$skip":
			return false
		case name == "$top", name == s.countName(): // lead nowhere
		case name == s.TokenOption:
			for _, t := range decodings(text) {
				numbers = append(numbers, numbersIn(t)...)
				own = append(own, t)
			}
		case !slices.Contains(given, uri.Unescape(option)):
			own = append(own, text)
		}
	}
	for _, n := range counts {
		if n > 0 && (slices.Contains(numbers, n) || slices.Contains(numbers, n+1)) {
			return false
		}
	}
	return containAll(own, keys)
}

// decodings are a token as it stands, and the text that it is base64 of, as SAP SuccessFactors and CAP write theirs.
func decodings(token string) []string {
	token = strings.Trim(token, "'")
	list := []string{token}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(token, "="))
	if err == nil && len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' }) {
		list = append(list, string(b))
	}
	return list
}

// numbersIn are the whole numbers of a text, those of more than 18 digits apart.
func numbersIn(text string) (numbers []int) {
	for len(text) > 0 {
		start := strings.IndexAny(text, "0123456789")
		if start < 0 {
			break
		}
		end := start
		for end < len(text) && text[end] >= '0' && text[end] <= '9' {
			end++
		}
		if n, err := strconv.Atoi(text[start:end]); err == nil && end-start <= 18 {
			numbers = append(numbers, n)
		}
		text = text[end:]
	}
	return numbers
}

// containAll reports whether each of some parts of a key stands in one of the texts.
func containAll(texts, keys []string) bool {
	some := false
	for _, key := range keys {
		if key == "" {
			continue // is in every text
		}
		if !slices.ContainsFunc(texts, func(t string) bool { return contains(t, key) }) {
			return false
		}
		some = true
	}
	return some
}

// minDistinctive is how many bytes of a key are in a text by no chance. A shorter part must be a whole field of the
// text: 7 is in 2026-11-7 too.
const minDistinctive = 4

// separates reports whether what stands next to a field separates it from others: there is none, or the character that
// is nearest to the field is no part of a word.
func separates(text string, next rune) bool {
	return text == "" || strings.ContainsRune(" ,;:='\"|(){}[]", next)
}

// contains reports whether a key's part stands in a text, as a literal or bare, and not as a piece of a longer word or
// number. Case makes no difference.
func contains(text, part string) bool {
	text, part = strings.ToLower(strings.ReplaceAll(text, "''", "'")), strings.ToLower(part)
	for from := 0; ; {
		i := strings.Index(text[from:], part)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		first, _ := utf8.DecodeRuneInString(part)
		last, _ := utf8.DecodeLastRuneInString(part)
		after, _ := utf8.DecodeRuneInString(text[i+len(part):])
		whole := len(part) >= minDistinctive || separates(text[:i], before) && separates(text[i+len(part):], after)
		if whole && !sameWord(before, first) && !sameWord(last, after) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		from = i + size
	}
}

// sameWord reports whether two characters belong to one number or to one word.
func sameWord(a, b rune) bool {
	digit := func(c rune) bool { return c >= '0' && c <= '9' }
	letter := func(c rune) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 && c != utf8.RuneError }
	return digit(a) && digit(b) || letter(a) && letter(b)
}
