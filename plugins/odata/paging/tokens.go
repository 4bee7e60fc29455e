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

// A next link that counts rows returns other rows when rows before it are inserted or deleted (RATIONALE.md P3).
// Services encode the count as $skip=1000; $skiptoken=1000 (CAP); base64 of {"startRow":1000,"endRow":2000} (SAP
// SuccessFactors, SAP KBA 2489065) or of $rows=500&$offset=1000 (CAP with $top). Only a link that contains the last
// row's key is safe.

// CountsRows reports whether inserted or deleted rows may shift the next link of a requested page. last is the key of
// the last row, seen the number of rows so far. If the link contains a number that may be either, unless is that number
// for [Set.MayHideRows].
func (s *Set) CountsRows(link, request string, last []byte, seen int) (yes bool, unless string) {
	texts := s.literalTexts(last)
	switch {
	case s.linkHasKey(link, request, texts, seen):
		return false, ""
	case s.Keys != nil && s.Keys.IsInteger() && s.linkHasKey(link, request, texts):
		return false, texts[0]
	}
	return true, ""
}

// MayHideRows reports whether rows may be missing between key last and the first row of the next page.
func (s *Set) MayHideRows(last string, first []byte) bool {
	before, err := strconv.ParseInt(last, 10, 64)
	texts := s.literalTexts(first)
	return err != nil || texts == nil || texts[0] != strconv.FormatInt(before+1, 10)
}

// rowNumberIn returns the number of a link that is named as a number of rows: $skip=1000,
// {"startRow":1000,"endRow":2000}, $rows=500&$offset=1000.
func rowNumberIn(link string) (row int, ok bool) {
	_, query, _ := strings.Cut(link, "?")
	for option := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(option, "=")
		name = uri.Unescape(name)
		if name != "$skip" && name != tokenOption {
			continue
		}
		for _, t := range decodings(uri.Unescape(text)) {
			_, start, isOffset := strings.Cut(t, "offset=")
			if _, startRow, isStart := strings.Cut(t, `"startRow":`); isStart {
				start, _, _ = strings.Cut(startRow, ",")
			} else if !isOffset && name == "$skip" {
				start = t
			}
			if row, err := strconv.Atoi(start); err == nil {
				return row, true
			}
		}
	}
	return 0, false
}

const maxLink = 16 << 10

// linkHasKey reports whether a next link contains the key, none of the counts, and the order of the request.
func (s *Set) linkHasKey(link, request string, keys []string, counts ...int) bool {
	losesOrder := optionOf(request, "$orderby") != "" && optionOf(link, "$orderby") == ""
	if len(link) > maxLink || losesOrder {
		return false
	}
	_, query, _ := strings.Cut(link, "?")
	_, sent, _ := strings.Cut(request, "?")
	var addedOptions []string // options added by the service
	sentOptions := strings.Split(sent, "&")
	for i := range sentOptions {
		sentOptions[i] = uri.Unescape(sentOptions[i])
	}
	var numbers []int
	for option := range strings.SplitSeq(query, "&") {
		name, text, _ := strings.Cut(option, "=")
		name = uri.Unescape(name)
		text = uri.Unescape(text)
		switch {
		case name == "$skip":
			return false
		case name == "$top", name == countOption: // select no position
		case name == tokenOption:
			for _, t := range decodings(text) {
				numbers = append(numbers, numbersIn(t)...)
				addedOptions = append(addedOptions, t)
			}
		case !slices.Contains(sentOptions, uri.Unescape(option)):
			addedOptions = append(addedOptions, text)
		}
	}
	for _, n := range counts {
		if n > 0 && (slices.Contains(numbers, n) || slices.Contains(numbers, n+1)) {
			return false
		}
	}
	return containAll(addedOptions, keys)
}

func decodings(token string) []string {
	token = strings.Trim(token, "'")
	list := []string{token}
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(token, "="))
	if err == nil && len(b) > 0 && utf8.Valid(b) && !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' }) {
		list = append(list, string(b))
	}
	return list
}

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

func containAll(texts, keys []string) bool {
	some := false
	for _, key := range keys {
		if key == "" {
			continue
		}
		if !slices.ContainsFunc(texts, func(t string) bool { return contains(t, key) }) {
			return false
		}
		some = true
	}
	return some
}

const minDistinctive = 4 // shorter key parts must be a whole field: 2026-11-7 contains 7 by chance

func separates(text string, next rune) bool {
	return text == "" || strings.ContainsRune(" ,;:='\"|(){}[]", next)
}

// contains reports whether a key part occurs in a text as a whole word or number, case-insensitively.
func contains(text, part string) bool {
	text = strings.ToLower(strings.ReplaceAll(text, "''", "'"))
	part = strings.ToLower(part)
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
		whole := len(part) >= minDistinctive || (separates(text[:i], before) && separates(text[i+len(part):], after))
		if whole && !sameWord(before, first) && !sameWord(last, after) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		from = i + size
	}
}

func sameWord(a, b rune) bool {
	digit := func(c rune) bool { return c >= '0' && c <= '9' }
	letter := func(c rune) bool { return (c|0x20 >= 'a' && c|0x20 <= 'z') || (c >= 0x80 && c != utf8.RuneError) }
	return (digit(a) && digit(b)) || (letter(a) && letter(b))
}
