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
// the last row, rowsRead the number of rows so far. If the link contains a number that may be either, lastKey is that
// number: pass it to [Set.MayHideRows] with the next page.
func (s *Set) CountsRows(link, request string, last []byte, rowsRead int) (countsRows bool, lastKey string) {
	texts := s.Keys.literalTexts(last)
	switch {
	case s.linkHasKey(link, request, texts, rowsRead):
		return false, ""
	case s.Keys != nil && s.Keys.isInteger() && s.linkHasKey(link, request, texts):
		return false, texts[0]
	}
	return true, ""
}

// MayHideRows reports whether rows may be missing between key last and the first row of the next page.
func (s *Set) MayHideRows(last string, first []byte) bool {
	lastNumber, err := strconv.ParseInt(last, 10, 64)
	texts := s.Keys.literalTexts(first)
	return err != nil || texts == nil || texts[0] != strconv.FormatInt(lastNumber+1, 10)
}

const maxLink = 16 << 10 // longer links count as links without key

// linkHasKey reports whether a next link contains the key and the order of the request, but none of the counts of rows.
// What the request itself contained does not count as the key, except in the token.
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
		name, optionValue, _ := strings.Cut(option, "=")
		name = uri.Unescape(name)
		optionValue = uri.Unescape(optionValue)
		switch {
		case name == "$skip":
			return false
		case name == "$top", name == s.Dialect.CountName: // these options select no position
		case name == "$skiptoken":
			for _, decoded := range decodings(optionValue) {
				numbers = append(numbers, numbersIn(decoded)...)
				addedOptions = append(addedOptions, decoded)
			}
		case !slices.Contains(sentOptions, uri.Unescape(option)):
			addedOptions = append(addedOptions, optionValue)
		}
	}
	for _, count := range counts {
		if count > 0 && (slices.Contains(numbers, count) || slices.Contains(numbers, count+1)) {
			return false
		}
	}
	// Each part of the key must occur in a text. A key whose parts are all empty does not count.
	hasKey := false
	for _, key := range keys {
		if key == "" {
			continue
		}
		if !slices.ContainsFunc(addedOptions, func(text string) bool { return contains(text, key) }) {
			return false
		}
		hasKey = true
	}
	return hasKey
}

// decodings returns a token without quotes and, if it is base64 of a text, also that text.
func decodings(token string) []string {
	token = strings.Trim(token, "'")
	texts := []string{token}
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(token, "="))
	isControl := func(c rune) bool { return c < ' ' }
	if err == nil && len(decoded) > 0 && utf8.Valid(decoded) && !bytes.ContainsFunc(decoded, isControl) {
		texts = append(texts, string(decoded))
	}
	return texts
}

// numbersIn returns the numbers in a text.
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
		if n, err := strconv.Atoi(text[start:end]); err == nil && end-start <= 18 { // n+1 fits, too
			numbers = append(numbers, n)
		}
		text = text[end:]
	}
	return numbers
}

const minDistinctive = 4 // shorter key parts must be a whole field: 2026-11-7 contains 7 by chance

// isBoundary reports whether a field ends at text, which is empty or has next as its adjacent character.
func isBoundary(text string, next rune) bool {
	return text == "" || strings.ContainsRune(" ,;:='\"|(){}[]", next)
}

// contains reports whether a key part occurs in a text as a whole word or number, case-insensitively.
func contains(text, part string) bool {
	text = strings.ToLower(strings.ReplaceAll(text, "''", "'"))
	part = strings.ToLower(part)
	for pos := 0; ; {
		start := strings.Index(text[pos:], part)
		if start < 0 {
			return false
		}
		start += pos
		preceding, _ := utf8.DecodeLastRuneInString(text[:start])
		first, _ := utf8.DecodeRuneInString(part)
		last, _ := utf8.DecodeLastRuneInString(part)
		following, _ := utf8.DecodeRuneInString(text[start+len(part):])
		isField := isBoundary(text[:start], preceding) && isBoundary(text[start+len(part):], following)
		isFixed := len(part) >= minDistinctive || isField
		if isFixed && !isSameWord(preceding, first) && !isSameWord(last, following) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		pos = start + size
	}
}

func isSameWord(a, b rune) bool {
	isDigit := func(c rune) bool { return c >= '0' && c <= '9' }
	isLetter := func(c rune) bool { return (c|0x20 >= 'a' && c|0x20 <= 'z') || (c >= 0x80 && c != utf8.RuneError) }
	return (isDigit(a) && isDigit(b)) || (isLetter(a) && isLetter(b))
}
