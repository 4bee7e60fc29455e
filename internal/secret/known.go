// Package secret removes secret values from texts that are shown: errors, logs, statuses, and the texts of services and
// plugins. A [Redactor] knows the secrets; a [Value] is a setting that may be one.
package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Hidden replaces a secret in a text.
const Hidden = setting.Hidden

// Lengths in bytes.
const (
	minSecret = 4 // shorter secrets occur in every text by chance
	window    = 8 // the longest indexed piece, since texts may be truncated within a secret
	// maxSecret is the indexed part of a secret. A text with a piece of a longer secret is replaced as a whole.
	maxSecret = 16 << 10
)

// maxWindows bounds the index to about 100 MiB; beyond it every text is replaced as a whole. Tests change it.
var maxWindows = 1 << 21

// Redactor replaces secrets in texts, in the encodings of JSON, Go, URLs, HTML and Base64, and pieces of 6 bytes or
// more. The zero value and nil know no secrets. Safe for concurrent use.
type Redactor struct {
	mu sync.RWMutex
	// windows counts the pieces of secrets by their length, packed in lower case, see appendByte. truncated has the
	// pieces of secrets longer than maxSecret.
	windows   [window + 1]map[uint64]int
	truncated map[uint64]int
	// words counts short items of lists, which are replaced only as whole words.
	words map[string]int
	size  int // the number of different windows
}

// Add adds secrets until remove, which is idempotent. Secrets of fewer than 4 bytes, `true` and `false` are ignored.
func (r *Redactor) Add(secrets ...string) (remove func()) {
	r.change(secrets, 1)
	return sync.OnceFunc(func() { r.change(secrets, -1) })
}

// change adds secrets with a delta of 1 and removes them with -1.
func (r *Redactor) change(secrets []string, delta int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		for _, scheme := range []string{"http://", "https://"} { // occurs in many texts
			secret = strings.TrimPrefix(secret, scheme)
		}
		if len(secret) >= minSecret && secret != "true" && secret != "false" {
			r.countPieces(secret, delta)
		}
	}
}

// countPieces adds delta to the counts of a secret's pieces and words.
func (r *Redactor) countPieces(secret string, delta int) {
	isLong := len(secret) > maxSecret
	if isLong {
		secret = secret[:maxSecret]
	}
	// Items that are shorter than the pieces of the secret are found as words.
	n := windowLength(len(secret))
	for _, item := range strings.FieldsFunc(secret, isSeparator) {
		if item = strings.TrimSpace(item); len(item) >= minSecret && len(item) < n {
			count(&r.words, item, delta)
		}
	}
	for encoded := range encodings(secret) {
		length := windowLength(len(encoded))
		packed := uint64(0)
		for i := range len(encoded) {
			packed = appendByte(packed, encoded[i], length)
			if i < length-1 {
				continue
			}
			if count(&r.windows[length], packed, delta) {
				r.size += delta
			}
			if isLong {
				count(&r.truncated, packed, delta)
			}
		}
	}
}

// isSeparator excludes dots, dashes and spaces: words of names occur in texts by chance.
func isSeparator(r rune) bool { return strings.ContainsRune(",;:@=\"'\r\n", r) }

// count adds delta to the count of a key and reports whether the key was added or removed.
func count[K comparable](m *map[K]int, key K, delta int) (changed bool) {
	if *m == nil {
		*m = map[K]int{}
	}
	previous := (*m)[key]
	if previous+delta <= 0 {
		delete(*m, key)
		return previous > 0
	}
	(*m)[key] = previous + delta
	return previous == 0
}

// windowLength returns the length of the pieces of a secret: half of it within 6 to 8 bytes, but not more than it has.
func windowLength(length int) int { return min(length, max(6, min(window, length/2))) }

// appendByte appends a byte in lower case to a packed piece and drops its first one, so that n bytes remain.
func appendByte(packed uint64, b byte, n int) uint64 {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return (packed<<8 | uint64(b)) & (1<<(8*n) - 1) // for n = 8 the mask has all bits
}

// encodings returns the set of a secret's encodings, including the secret itself.
func encodings(secret string) map[string]bool {
	set := map[string]bool{secret: true, url.QueryEscape(secret): true, url.PathEscape(secret): true,
		html.EscapeString(secret): true}
	for _, quoted := range []string{strconv.Quote(secret), strconv.QuoteToASCII(secret), encodeJSON(secret, true),
		encodeJSON(secret, false)} {
		set[quoted[1:len(quoted)-1]] = true
	}
	for shift := range 3 { // Base64 of a text with the secret, for each position in a group of three bytes
		shifted := append(make([]byte, shift, shift+len(secret)), secret...)
		start := (8*shift + 5) / 6 // characters that depend on the secret only
		end := 8 * len(shifted) / 6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if encoded := encoding.EncodeToString(shifted)[start:end]; len(encoded) >= minSecret {
				set[encoded] = true
			}
		}
	}
	return set
}

func encodeJSON(secret string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	_ = e.Encode(secret) // cannot fail for a string
	return strings.TrimSuffix(b.String(), "\n")
}

// Redact returns a text with [Hidden] in place of secrets and their pieces. It replaces the whole text if it may
// contain a piece of a secret that is not indexed.
func (r *Redactor) Redact(text string) string {
	if r == nil {
		return text
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.size > maxWindows && text != "" {
		return Hidden
	}
	result := redaction{text: text}
	if !r.findWindows(&result) {
		return Hidden
	}
	r.findWords(&result)
	return result.String()
}

// findWindows marks pieces of secrets. !ok means that the whole text must be replaced.
func (r *Redactor) findWindows(result *redaction) (ok bool) {
	for n, counts := range r.windows {
		if len(counts) == 0 {
			continue
		}
		packed := uint64(0)
		for i := range len(result.text) {
			if packed = appendByte(packed, result.text[i], n); i < n-1 || counts[packed] == 0 {
				continue
			}
			if r.truncated[packed] > 0 {
				return false
			}
			result.mark(i-n+1, i+1)
		}
	}
	return true
}

// findWords marks words that are items of secrets.
func (r *Redactor) findWords(result *redaction) {
	if len(r.words) == 0 {
		return
	}
	s := result.text
	for start := range s {
		if start > 0 && isWordCharacter(rune(s[start-1])) && isWordCharacter(rune(s[start])) {
			continue
		}
		for end := start + 1; end <= min(start+window, len(s)); end++ {
			isWordEnd := end == len(s) || !isWordCharacter(rune(s[end-1])) || !isWordCharacter(rune(s[end]))
			if isWordEnd && r.words[s[start:end]] > 0 {
				result.mark(start, end)
			}
		}
	}
}

// isWordCharacter counts all bytes of non-ASCII characters as word characters.
func isWordCharacter(r rune) bool {
	return r == '_' || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || r >= 0x80
}

// redaction is a text with marks on the bytes to hide.
type redaction struct {
	text     string
	isMarked []bool // by byte; nil means that no byte is marked
}

// mark marks the bytes from start to end, exclusive.
func (r *redaction) mark(start, end int) {
	if r.isMarked == nil {
		r.isMarked = make([]bool, len(r.text))
	}
	for i := start; i < end; i++ {
		r.isMarked[i] = true
	}
}

// String returns the text with [Hidden] for each run of characters with a marked byte.
func (r *redaction) String() string {
	if r.isMarked == nil {
		return r.text
	}
	var b strings.Builder
	wasMarked := false
	for i := 0; i < len(r.text); { // by whole characters, of which no part may remain
		_, size := utf8.DecodeRuneInString(r.text[i:])
		isMarked := slices.Contains(r.isMarked[i:i+size], true)
		if !isMarked {
			b.WriteString(r.text[i : i+size])
		} else if !wasMarked {
			b.WriteString(Hidden)
		}
		wasMarked = isMarked
		i += size
	}
	return b.String()
}
