package odataerror

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/culvert-project/culvert/plugins/odata/scan"
	"github.com/culvert-project/culvert/plugins/odata/uri"
)

const (
	maxSearched = 4 << 10         // bytes of a text
	maxOptions  = 100             // of a URL that are removed from a text
	minSearched = len("gesperrt") // the shortest of provenLockWords: shorter paths contain none of them
)

// SearchText returns a response's text in lower case, without the URL of its request, whose words are the client's own.
// Services quote a URL decoded, escaped, without host, cut off, or with its options in another order.
func SearchText(target, text string) string {
	path, query, _ := strings.Cut(target, "?")
	text = unescapeAll(text[:min(len(text), maxSearched)])
	for _, part := range []string{path, path[strings.LastIndexByte(path, '/')+1:]} {
		if len(part) >= minSearched {
			text = strings.ReplaceAll(text, unescapeAll(part), " ")
		}
	}
	// Copy the text without the options of the URL, whole ones or, after ? or &, their starts.
	options := strings.SplitN(query, "&", maxOptions)
	for i := range options {
		options[i] = unescapeAll(options[i])
	}
	var out strings.Builder
	for pos := 0; pos < len(text); {
		size := 0 // of the longest option at pos
		if pos == 0 || !isWord(text[pos-1]) {
			cut := pos > 0 && (text[pos-1] == '?' || text[pos-1] == '&')
			for _, option := range options {
				n := 0
				for n < len(option) && pos+n < len(text) && text[pos+n] == option[n] {
					n++
				}
				isFixed := n == len(option) && (pos+n == len(text) || !isWord(text[pos+n]))
				if (cut || isFixed) && n > strings.IndexByte(option+"=", '=') { // more than the name
					size = max(size, n)
				}
			}
		}
		if size == 0 {
			size = 1
			out.WriteByte(text[pos])
		}
		pos += size
	}
	return out.String()
}

func isWord(c byte) bool { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'z') }

// unescapeAll removes escapes of URLs, XML, HTML and JSON, also nested ones, and converts to lower case.
func unescapeAll(text string) string {
	for range 3 {
		text = unescapeOnce(text)
	}
	return strings.ToLower(strings.ReplaceAll(text, "+", " "))
}

// unescapeOnce removes one level of escapes.
func unescapeOnce(text string) string {
	var out strings.Builder
	for text = uri.Unescape(text); text != ""; {
		c := rune(0)
		size := 1
		switch {
		case text[0] == '&':
			if character, n := scan.AppendXMLEntity(nil, text); n > 0 {
				c, _ = utf8.DecodeRune(character)
				size = n
			}
		case text[0] == '\\' && len(text) > 1:
			c = rune(text[1])
			size = 2
			if n, err := strconv.ParseUint(text[2:min(len(text), 6)], 16, 16); err == nil && text[1] == 'u' {
				c = rune(n)
				size = min(len(text), 6)
			}
		}
		if c == 0 {
			out.WriteByte(text[0])
		} else {
			out.WriteRune(c)
		}
		text = text[size:]
	}
	return out.String()
}
