// Package secret keeps values that must not be shown out of every text that is: of problems, logs, statuses, answers
// of services, and of what plugins say.
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

// Hidden stands in a text where a secret was struck.
const Hidden = setting.Hidden

// Bounds of what is known of a secret.
const (
	// shortest is the length in bytes from which a secret is struck. A shorter one, such as `a` or `100`, guards
	// nothing and stands in every text.
	shortest = 4
	// window is the most bytes that are compared at once: so many in a row of a longer secret are struck, whatever
	// stands around them. Texts are often cut off.
	window = 8
	// maxSecret is how many bytes of a secret are known. A text that repeats some of these of a longer one is
	// replaced as a whole.
	maxSecret = 16 << 10
)

// maxWindows is how many windows are known in all, which take some 100 MiB. With more every text is replaced as a
// whole. It is a variable for tests.
var maxWindows = 1 << 21

// Redactor is a set of secrets, and strikes them out of texts. A secret is found as it is, in large and small letters, and
// as JSON, Go, URLs, HTML and Base64 write it, also as a part of something longer, as in `Basic dXNlcjpzZWNyZXQ=`. Of a
// secret from 7 bytes on a piece of 6 to 8 bytes is struck, too, the longer the secret the longer the piece.
//
// The zero Known, and nil, know nothing. Safe for use by several goroutines.
type Redactor struct {
	mu sync.RWMutex
	// windows are pieces of secrets by their length, folded and packed, with how often they are known. Those of long
	// secrets are in endless, too.
	windows   [window + 1]map[uint64]int
	truncated map[uint64]int
	// words are items of secrets that are lists, shorter than a window, that are struck as words of their own, because
	// they are used and shown one by one.
	words map[string]int
	size  int // of windows
}

// Add has secrets struck from now on until forget is called, which may be called more than once. Blanks around a
// secret are no part of it. Nothing is known of one that has less than 4 bytes, nor of `true` and `false`.
func (k *Redactor) Add(secrets ...string) (forget func()) {
	k.change(secrets, 1)
	return sync.OnceFunc(func() { k.change(secrets, -1) })
}

func (k *Redactor) change(secrets []string, by int) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, secret := range secrets {
		secret = strings.TrimSpace(secret)
		for _, scheme := range []string{"http://", "https://"} { // which stands in many a text
			secret = strings.TrimPrefix(secret, scheme)
		}
		if len(secret) >= shortest && secret != "true" && secret != "false" {
			k.countPieces(secret, by)
		}
	}
}

// countPieces counts the pieces of a secret that are struck.
func (k *Redactor) countPieces(secret string, by int) {
	cut := len(secret) > maxSecret
	if cut {
		secret = secret[:maxSecret]
	}
	n := windowLength(len(secret))
	for _, item := range strings.FieldsFunc(secret, isSeparator) {
		if item = strings.TrimSpace(item); len(item) >= shortest && len(item) < n {
			count(&k.words, item, by)
		}
	}
	for form := range encodings(secret) {
		n := windowLength(len(form))
		packed := uint64(0)
		for i := range len(form) {
			if packed = appendByte(packed, form[i], n); i < n-1 {
				continue
			}
			if count(&k.windows[n], packed, by) {
				k.size += by
			}
			if cut {
				count(&k.truncated, packed, by)
			}
		}
	}
}

// isSeparator tells whether a character stands between items: of lists, of `key="value";` as JAAS has it, of
// `user:password@host`, and of lines. Dots, dashes and blanks do not: the words of a name or a pass phrase stand in
// texts by chance.
func isSeparator(r rune) bool { return strings.ContainsRune(",;:@=\"'\r\n", r) }

// count adds to what is counted under a key; changed: it is new, or gone.
func count[K comparable](m *map[K]int, key K, by int) (changed bool) {
	if *m == nil {
		*m = map[K]int{}
	}
	before := (*m)[key]
	if before+by <= 0 {
		delete(*m, key)
		return before > 0
	}
	(*m)[key] = before + by
	return before == 0
}

// windowLength is how many bytes in a row of a secret of so many are struck.
func windowLength(length int) int { return min(length, max(6, min(window, length/2))) }

// appendByte moves a byte into the last n bytes.
func appendByte(packed uint64, b byte, n int) uint64 {
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	return (packed<<8 | uint64(b)) & (1<<(8*n) - 1)
}

// encodings are a secret as it may stand in a text.
func encodings(secret string) map[string]bool {
	all := map[string]bool{secret: true, url.QueryEscape(secret): true, url.PathEscape(secret): true,
		html.EscapeString(secret): true}
	for _, quoted := range []string{strconv.Quote(secret), strconv.QuoteToASCII(secret), encodeJSON(secret, true),
		encodeJSON(secret, false)} {
		all[quoted[1:len(quoted)-1]] = true
	}
	for before := range 3 { // Base64 of something with the secret in it, where so many bytes of a group stand before
		text := append(make([]byte, before, before+len(secret)), secret...)
		from, to := (8*before+5)/6, 8*len(text)/6
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if own := encoding.EncodeToString(text)[from:to]; len(own) >= shortest {
				all[own] = true
			}
		}
	}
	return all
}

func encodeJSON(secret string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	_ = e.Encode(secret) // a string, which always can be written
	return strings.TrimSuffix(b.String(), "\n")
}

// Redact is a text with [Hidden] in the place of each secret in it. The time it takes grows with the text alone.
func (k *Redactor) Redact(text string) string {
	if k == nil {
		return text
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.size > maxWindows && text != "" {
		return Hidden
	}
	found := redaction{text: text}
	if !k.findWindows(&found) {
		return Hidden
	}
	k.findWords(&found)
	return found.result()
}

// findWindows marks pieces of secrets; !ok: the whole text is to be replaced.
func (k *Redactor) findWindows(found *redaction) (ok bool) {
	for n, known := range k.windows {
		if len(known) == 0 {
			continue
		}
		packed := uint64(0)
		for i := range len(found.text) {
			if packed = appendByte(packed, found.text[i], n); i < n-1 || known[packed] == 0 {
				continue
			}
			if k.truncated[packed] > 0 {
				return false
			}
			found.mark(i-n+1, i+1)
		}
	}
	return true
}

// findWords marks secrets that are words of their own.
func (k *Redactor) findWords(found *redaction) {
	if len(k.words) == 0 {
		return
	}
	text := found.text
	for from := range text {
		if from > 0 && isWord(rune(text[from-1])) && isWord(rune(text[from])) {
			continue
		}
		for to := from + 1; to <= min(from+window, len(text)); to++ {
			ends := to == len(text) || !isWord(rune(text[to-1])) || !isWord(rune(text[to]))
			if ends && k.words[text[from:to]] > 0 {
				found.mark(from, to)
			}
		}
	}
}

// isWord tells whether a character, or a byte of one, belongs to words.
func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r >= 0x80
}

// redaction is a text with the bytes in it that are secret, nil: none.
type redaction struct {
	text   string
	secret []bool
}

func (s *redaction) mark(from, to int) {
	if s.secret == nil {
		s.secret = make([]bool, len(s.text))
	}
	for ; from < to; from++ {
		s.secret[from] = true
	}
}

func (s *redaction) result() string {
	if s.secret == nil {
		return s.text
	}
	var b strings.Builder
	hidden := false
	for i := 0; i < len(s.text); { // by whole characters: what is left of one is none
		_, size := utf8.DecodeRuneInString(s.text[i:])
		switch secret := slices.Contains(s.secret[i:i+size], true); {
		case !secret:
			b.WriteString(s.text[i : i+size])
			hidden = false
		case !hidden:
			b.WriteString(Hidden)
			hidden = true
		}
		i += size
	}
	return b.String()
}
