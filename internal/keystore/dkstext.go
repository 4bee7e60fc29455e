package keystore

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/scanner"
)

// dksParser parses a DKS file. token is the next one.
type dksParser struct {
	scanner scanner.Scanner
	token   dksToken
}

func parseDKS(text string) ([]dksDomain, error) {
	p := newDKSParser(text)
	var domains []dksDomain
	for p.token.text != "" || p.token.isQuoted {
		d, err := p.parseDomain()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.token.line, err)
		}
		domains = append(domains, d)
	}
	if len(domains) == 0 {
		return nil, errors.New("expected a domain, found none")
	}
	return domains, nil
}

// nextIs reports whether the next token is this unquoted word; case is ignored.
func (p *dksParser) nextIs(word string) bool {
	return !p.token.isQuoted && strings.EqualFold(p.token.text, word)
}

func (p *dksParser) expect(word string) error {
	if !p.nextIs(word) {
		return fmt.Errorf("found %s, expected %q", p.token, word)
	}
	p.advance()
	return nil
}

func (p *dksParser) parseName(element string) (string, error) {
	name := p.token.text
	if name == "" || (!p.token.isQuoted && strings.ContainsAny(name, "{};=")) {
		return "", fmt.Errorf("found %s, expected the name of a %s", p.token, element)
	}
	p.advance()
	return name, nil
}

func (p *dksParser) parseDomain() (dksDomain, error) {
	var domain dksDomain
	err := p.expect("domain")
	if err != nil {
		return domain, err
	}
	if domain.name, err = p.parseName("domain"); err != nil {
		return domain, err
	}
	if domain.properties, err = p.parseProperties("{", nil); err != nil {
		return domain, err
	}
	seen := map[string]bool{}
	for !p.nextIs("}") {
		var store dksStore
		err := p.expect("keystore")
		if err != nil {
			return domain, err
		}
		if store.name, err = p.parseName("keystore"); err != nil {
			return domain, err
		}
		if store.properties, err = p.parseProperties(";", domain.properties); err != nil {
			return domain, err
		}
		if seen[store.name] {
			return domain, fmt.Errorf("a second keystore %s in domain %s", store.name, domain.name)
		}
		seen[store.name] = true
		if domain.stores = append(domain.stores, store); len(domain.stores) > maxDKSStores {
			return domain, fmt.Errorf("more than %d keystores in domain %s", maxDKSStores, domain.name)
		}
	}
	p.advance()
	if p.nextIs(";") {
		p.advance()
	}
	if len(domain.stores) == 0 {
		return domain, fmt.Errorf("domain %s has no keystore", domain.name)
	}
	return domain, nil
}

// parseProperties reads properties up to and including end, and returns them merged into the defaults.
func (p *dksParser) parseProperties(end string, defaults map[string]string) (map[string]string, error) {
	merged := maps.Clone(defaults)
	if merged == nil {
		merged = map[string]string{}
	}
	for !p.nextIs(end) {
		name := strings.ToLower(p.token.text)
		if p.token.isQuoted || dksProperties[name] == "" {
			return nil, fmt.Errorf("found %s, expected a property (keystoreType, keystoreURI, keystoreProviderName, "+
				"keystorePasswordEnv, entryNameSeparator) or %q", p.token, end)
		}
		p.advance()
		if err := p.expect("="); err != nil {
			return nil, err
		}
		if !p.token.isQuoted {
			return nil, fmt.Errorf("found %s, expected the value of %s in quotes", p.token, dksProperties[name])
		}
		value, err := expand(p.token.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dksProperties[name], err)
		}
		merged[name] = value
		p.advance()
	}
	p.advance()
	return merged, nil
}

// expand replaces ${name} by the value that a Java system property would have here.
func expand(value string) (string, error) {
	var out strings.Builder
	for {
		literal, reference, ok := strings.Cut(value, "${")
		out.WriteString(literal)
		if !ok {
			return out.String(), nil
		}
		name, after, ok := strings.Cut(reference, "}")
		if !ok {
			return "", fmt.Errorf("${%s has no closing brace", reference)
		}
		property, err := systemProperty(name)
		if err != nil {
			return "", err
		}
		out.WriteString(property)
		value = after
	}
}

// systemProperty returns the value of a Java system property that has one here.
func systemProperty(name string) (string, error) {
	switch name {
	case "/", "file.separator":
		return string(filepath.Separator), nil
	case "path.separator":
		return string(filepath.ListSeparator), nil
	case "user.dir":
		return os.Getwd()
	case "user.home":
		return os.UserHomeDir()
	case "java.io.tmpdir":
		return os.TempDir(), nil
	case "user.name":
		u, err := user.Current()
		if err != nil {
			return "", err
		}
		return u.Username, nil
	case "java.home":
		if home := os.Getenv("JAVA_HOME"); home != "" {
			return home, nil
		}
		return "", errors.New("${java.home} has no value: JAVA_HOME is not set")
	}
	return "", fmt.Errorf("${%s} is not supported, expected user.dir, user.home, user.name, java.home, "+
		"java.io.tmpdir, file.separator, path.separator or /", name)
}

// dksToken is a word, one of "{};=", or a quoted text. At the end of the file text is "" and not quoted.
type dksToken struct {
	text     string
	isQuoted bool
	line     int
}

func (t dksToken) String() string {
	if t.text == "" && !t.isQuoted {
		return "the end of the file"
	}
	return fmt.Sprintf("%q", t.text)
}

// newDKSParser splits text like Java's StreamTokenizer: comments, words, and quoted texts, which end with the line.
func newDKSParser(text string) *dksParser {
	p := &dksParser{}
	s := p.scanner.Init(strings.NewReader(text))
	s.Mode = scanner.ScanIdents | scanner.ScanStrings | scanner.ScanChars | scanner.ScanComments | scanner.SkipComments
	s.Whitespace = 1<<(' '+1) - 1 // the space and all characters below it
	s.IsIdentRune = func(r rune, i int) bool {
		return r > ' ' && !strings.ContainsRune("{};=\"'", r) && (i > 0 || r != '/') // a / may begin a comment
	}
	s.Error = func(*scanner.Scanner, string) {} // texts in quotes may be invalid in Go
	p.advance()
	return p
}

// advance reads the next token. It removes quotes and escapes.
func (p *dksParser) advance() {
	kind := p.scanner.Scan()
	p.token = dksToken{text: p.scanner.TokenText(), line: p.scanner.Position.Line}
	if kind == scanner.String || kind == scanner.Char {
		content, _, hasNewline := strings.Cut(p.token.text[1:], "\n")
		if !hasNewline { // else the closing quote is missing or on another line
			content = strings.TrimSuffix(content, p.token.text[:1])
		}
		var out strings.Builder
		for i := 0; i < len(content); i++ {
			c := content[i]
			if c == '\\' && i+1 < len(content) {
				var length int
				c, length = unescape(content[i+1:])
				i += length
			}
			out.WriteByte(c)
		}
		p.token.text = out.String()
		p.token.isQuoted = true
	}
}

var dksEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'b': '\b', 'v': '\v', 'a': 7}

// unescape decodes the text after a backslash: a letter, up to three octal digits, or any other character as itself.
func unescape(text string) (c byte, length int) {
	if e, ok := dksEscapes[text[0]]; ok {
		return e, 1
	}
	for length < 3 && length < len(text) && text[length] >= '0' && text[length] <= '7' &&
		(length < 2 || text[0] <= '3') {
		c = c<<3 | (text[length] - '0')
		length++
	}
	if length == 0 {
		return text[0], 1
	}
	return c, length
}
