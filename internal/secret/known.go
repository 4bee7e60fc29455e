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

// In bytes.
const (
	shortest = 4 // shorter ones occur in every text
	window   = 8 // texts may be truncated, so pieces are searched for
	// maxSecret is the indexed part. A text with a piece of a longer secret is replaced as a whole.
	maxSecret = 16 << 10
)

// maxWindows bounds the index, about 100 MiB; beyond it every text is replaced as a whole. A variable for tests.
var maxWindows = 1 << 21

// Redactor replaces secrets in texts, in the encodings of JSON, Go, URLs, HTML and Base64, and pieces of 6 bytes or
// more. The zero value and nil know no secrets. Safe for concurrent use.
type Redactor struct {
	mu sync.RWMutex
	// windows counts pieces of secrets by their length, packed in lower case; truncated those of long ones.
	windows   [window + 1]map[uint64]int
	truncated map[uint64]int
	// words are short items of lists, which are replaced only as whole words.
	words map[string]int
	size  int // the number of windows
}

// Add adds secrets until remove, which is idempotent. Secrets of fewer than 4 bytes, `true` and `false` are ignored.
func (r *Redactor) Add(secrets ...string) (remove func()) {
	r.change(secrets, 1)
	return sync.OnceFunc(func() { r.change(secrets, -1) })
}

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
		if len(secret) >= shortest && secret != "true" && secret != "false" {
			r.countPieces(secret, delta)
		}
	}
}

func (r *Redactor) countPieces(secret string, delta int) {
	isLong := len(secret) > maxSecret
	if isLong {
		secret = secret[:maxSecret]
	}
	n := windowLength(len(secret))
	for _, item := range strings.FieldsFunc(secret, isSeparator) {
		if item = strings.TrimSpace(item); len(item) >= shortest && len(item) < n {
			count(&r.words, item, delta)
		}
	}
	for form := range encodings(secret) {
		n := windowLength(len(form))
		packed := uint64(0)
		for i := range len(form) {
			packed = appendByte(packed, form[i], n)
			if i < n-1 {
				continue
			}
			if count(&r.windows[n], packed, delta) {
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

func count[K comparable](m *map[K]int, key K, delta int) (changed bool) {
	if *m == nil {
		*m = map[K]int{}
	}
	count := (*m)[key]
	if count+delta <= 0 {
		delete(*m, key)
		return count > 0
	}
	(*m)[key] = count + delta
	return count == 0
}

func windowLength(length int) int { return min(length, max(6, min(window, length/2))) }

func appendByte(packed uint64, b byte, n int) uint64 {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return (packed<<8 | uint64(b)) & (1<<(8*n) - 1)
}

func encodings(secret string) map[string]bool {
	forms := map[string]bool{secret: true, url.QueryEscape(secret): true, url.PathEscape(secret): true,
		html.EscapeString(secret): true}
	for _, quoted := range []string{strconv.Quote(secret), strconv.QuoteToASCII(secret), encodeJSON(secret, true),
		encodeJSON(secret, false)} {
		forms[quoted[1:len(quoted)-1]] = true
	}
	for shift := range 3 { // Base64 of a text with the secret, for each position in a group of three bytes
		shifted := append(make([]byte, shift, shift+len(secret)), secret...)
		from := (8*shift + 5) / 6
		to := 8 * len(shifted) / 6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if encoded := encoding.EncodeToString(shifted)[from:to]; len(encoded) >= shortest {
				forms[encoded] = true
			}
		}
	}
	return forms
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
	marked := redaction{text: text}
	if !r.findWindows(&marked) {
		return Hidden
	}
	r.findWords(&marked)
	return marked.result()
}

// findWindows marks pieces of secrets. !ok means that the whole text must be replaced.
func (r *Redactor) findWindows(marked *redaction) (ok bool) {
	for n, counts := range r.windows {
		if len(counts) == 0 {
			continue
		}
		packed := uint64(0)
		for i := range len(marked.text) {
			if packed = appendByte(packed, marked.text[i], n); i < n-1 || counts[packed] == 0 {
				continue
			}
			if r.truncated[packed] > 0 {
				return false
			}
			marked.mark(i-n+1, i+1)
		}
	}
	return true
}

func (r *Redactor) findWords(marked *redaction) {
	if len(r.words) == 0 {
		return
	}
	s := marked.text
	for from := range s {
		if from > 0 && isWord(rune(s[from-1])) && isWord(rune(s[from])) {
			continue
		}
		for to := from + 1; to <= min(from+window, len(s)); to++ {
			ends := to == len(s) || !isWord(rune(s[to-1])) || !isWord(rune(s[to]))
			if ends && r.words[s[from:to]] > 0 {
				marked.mark(from, to)
			}
		}
	}
}

func isWord(r rune) bool {
	return r == '_' || ('0' <= r && r <= '9') || ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || r >= 0x80
}

type redaction struct {
	text   string
	secret []bool
}

func (r *redaction) mark(from, to int) {
	if r.secret == nil {
		r.secret = make([]bool, len(r.text))
	}
	for ; from < to; from++ {
		r.secret[from] = true
	}
}

func (r *redaction) result() string {
	if r.secret == nil {
		return r.text
	}
	var b strings.Builder
	hidden := false
	for i := 0; i < len(r.text); { // by whole characters, of which no part may remain
		_, size := utf8.DecodeRuneInString(r.text[i:])
		switch secret := slices.Contains(r.secret[i:i+size], true); {
		case !secret:
			b.WriteString(r.text[i : i+size])
			hidden = false
		case !hidden:
			b.WriteString(Hidden)
			hidden = true
		}
		i += size
	}
	return b.String()
}
