package clientconfig

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// LoginModule is the value of sasl.jaas.config.
type LoginModule struct {
	Class   string
	Options map[string]string
}

// String leaves the options out: one of them is the password.
func (m LoginModule) String() string { return m.Class }

// GoString is String, so that %#v shows no password either.
func (m LoginModule) GoString() string { return m.Class }

// ParseLoginModule parses a sasl.jaas.config like Java's StreamTokenizer. Errors never quote it: it has the password.
func ParseLoginModule(text string) (LoginModule, error) {
	t := &jaasScanner{text: text}
	module := LoginModule{Options: map[string]string{}}
	class, err := t.word("the class of a login module")
	if err != nil {
		return module, err
	}
	module.Class = class
	flag, err := t.word("a control flag (required, requisite, sufficient or optional)")
	if err != nil {
		return module, err
	}
	switch strings.ToLower(flag) {
	case "required", "requisite", "sufficient", "optional": // no difference with one module
	default:
		return module, fmt.Errorf("expected a control flag (required, requisite, sufficient or optional) "+
			"after %s, found another word", module.Class)
	}
	if err := t.readOptions(module.Options); err != nil {
		return module, err
	}
	token, err := t.next()
	if err == nil && token.kind != jaasEnd {
		err = fmt.Errorf("expected one login module, found more after the semicolon (character %d)", token.char)
	}
	return module, err
}

// LoginOptions returns the option values of a login module; !ok means that the text is no sasl.jaas.config.
func LoginOptions(text string) (values []string, ok bool) {
	m, err := ParseLoginModule(text)
	if err != nil {
		return nil, false
	}
	return slices.Collect(maps.Values(m.Options)), true
}

// readOptions reads NAME=VALUE options up to and including the semicolon.
func (j *jaasScanner) readOptions(options map[string]string) error {
	for {
		name, err := j.next()
		switch {
		case err != nil:
			return err
		case name.is(';'):
			return nil
		case name.kind == jaasEnd:
			return errors.New("expected a semicolon at the end, found none")
		case name.kind != jaasWord:
			return fmt.Errorf("expected NAME=VALUE or a semicolon at character %d, found something else (a value "+
				"with special characters must be quoted)", name.char)
		}
		equals, err := j.next()
		if err != nil {
			return err
		}
		if !equals.is('=') {
			return fmt.Errorf("expected NAME=VALUE, found no = after the word at character %d", name.char)
		}
		value, err := j.next()
		if err != nil {
			return err
		}
		if value.kind != jaasWord {
			return fmt.Errorf("expected a value of %s in quotes at character %d", name.text, value.char)
		}
		options[name.text] = value.text
	}
}

type jaasKind int

const (
	jaasWord   jaasKind = iota // quoted or not
	jaasNumber                 // unquoted; Kafka accepts no number as a value
	jaasSign
	jaasEnd
)

type jaasToken struct {
	kind jaasKind
	text string
	sign rune
	char int // the position in characters, from 1
}

func (t jaasToken) is(sign rune) bool { return t.kind == jaasSign && t.sign == sign }

// jaasScanner splits text like java.io.StreamTokenizer with // and /* comments, and -, _ and $ as letters.
type jaasScanner struct {
	text string
	pos  int // in bytes
	char int // in characters
}

// word reads a word; expected describes it in the error for another token.
func (j *jaasScanner) word(expected string) (string, error) {
	token, err := j.next()
	if err != nil {
		return "", err
	}
	if token.kind != jaasWord {
		return "", fmt.Errorf("expected %s at character %d", expected, token.char)
	}
	return token.text, nil
}

// peek returns -1 at the end of the text.
func (j *jaasScanner) peek() (r rune, size int) {
	if j.pos == len(j.text) {
		return -1, 0
	}
	return utf8.DecodeRuneInString(j.text[j.pos:])
}

func (j *jaasScanner) read() rune {
	r, size := j.peek()
	j.pos += size
	if size > 0 {
		j.char++
	}
	return r
}

// next returns the next token.
func (j *jaasScanner) next() (jaasToken, error) {
	for {
		r, _ := j.peek()
		start := j.char + 1
		switch {
		case r < 0:
			return jaasToken{kind: jaasEnd, char: start}, nil
		case r <= ' ':
			j.read()
		case r == '/':
			if err := j.skipComment(); err != nil {
				return jaasToken{}, err
			}
		case r == '"' || r == '\'':
			s, err := j.scanQuoted()
			return jaasToken{kind: jaasWord, text: s, char: start}, err
		case isDigit(r):
			// Digits are no value to Kafka; a - or . without a digit is a sign.
			hasDigit := false
			first, _ := j.peek()
			for n := 0; ; n++ {
				r, _ := j.peek()
				if (r == '-' && n > 0) || !isDigit(r) {
					break
				}
				hasDigit = hasDigit || (r >= '0' && r <= '9')
				j.read()
			}
			if !hasDigit {
				return jaasToken{kind: jaasSign, sign: first, char: start}, nil
			}
			return jaasToken{kind: jaasNumber, char: start}, nil
		case isLetter(r):
			return jaasToken{kind: jaasWord, text: j.scanWord(), char: start}, nil
		default:
			return jaasToken{kind: jaasSign, sign: j.read(), char: start}, nil
		}
	}
}

func isDigit(r rune) bool { return (r >= '0' && r <= '9') || r == '.' || r == '-' }

func isLetter(r rune) bool {
	const firstLetter = 128 + 32 // beyond ASCII, in the table of StreamTokenizer
	return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || r == '_' || r == '$' || r >= firstLetter
}

func (j *jaasScanner) scanWord() string {
	start := j.pos
	for {
		if r, _ := j.peek(); !isLetter(r) && !isDigit(r) {
			return j.text[start:j.pos]
		}
		j.read()
	}
}

func (j *jaasScanner) skipComment() error {
	start := j.char + 1
	j.read()
	if r, _ := j.peek(); r != '*' {
		for r, _ := j.peek(); r >= 0 && r != '\n' && r != '\r'; r, _ = j.peek() {
			j.read()
		}
		return nil
	}
	j.read()
	for previous := rune(0); ; {
		switch r := j.read(); {
		case r < 0:
			return fmt.Errorf("expected the end of the comment that begins at character %d, found none", start)
		case r == '/' && previous == '*':
			return nil
		default:
			previous = r
		}
	}
}

// scanQuoted reads up to the same quote. Java silently ends it at the line's end; here that is an error.
func (j *jaasScanner) scanQuoted() (string, error) {
	start := j.char + 1
	quote := j.read()
	var text strings.Builder
	for {
		switch r := j.read(); {
		case r < 0 || r == '\n' || r == '\r':
			return "", fmt.Errorf("expected the end of the quotes that begin at character %d in "+
				"the same line, found none", start)
		case r == quote:
			return text.String(), nil
		case r == '\\':
			text.WriteRune(j.scanEscape())
		default:
			text.WriteRune(r)
		}
	}
}

// scanEscape parses an escape: up to three octal digits, a letter as in C, or the character itself.
func (j *jaasScanner) scanEscape() rune {
	r := j.read()
	if r >= '0' && r <= '7' {
		n := r - '0'
		for i := 1; i < 3; i++ {
			if next, _ := j.peek(); next < '0' || next > '7' || (i == 2 && r > '3') { // at most \377
				break
			}
			n = n*8 + j.read() - '0'
		}
		return n
	}
	if i := strings.IndexRune("abfnrtv", r); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i])
	}
	return r
}
