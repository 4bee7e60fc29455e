package keystore

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// A DKS store is a text file that names other stores (java.security.DomainLoadStoreParameter):
//
//	domain NAME [property="value" ...] {
//	    keystore NAME [property="value" ...];
//	    ...
//	};
//
// Properties of the domain are defaults for its stores. keystoreType, keystoreURI, keystorePasswordEnv and entryNameSeparator do what they do in
// Java; keystoreProviderName chooses between Java's implementations of one format and has nothing to choose here.
var dksProperties = map[string]string{
	"keystoretype": "keystoreType", "keystoreuri": "keystoreURI", "keystoreprovidername": "keystoreProviderName",
	"keystorepasswordenv": "keystorePasswordEnv", "entrynameseparator": "entryNameSeparator",
}

const (
	maxDKSStores = 100
	dksSeparator = " "
)

type dksDomain struct {
	name       string
	properties map[string]string // by name in small letters
	stores     []dksStore
}

type dksStore struct {
	name       string
	properties map[string]string // with those of the domain below them
}

// splitDomain takes "file#domain" apart, and "file:///path#domain". A file whose name has the # in it is found first.
func splitDomain(path string) (file, domain string) {
	if _, err := os.Stat(path); err == nil {
		return path, ""
	}
	if i := strings.LastIndexByte(path, '#'); i >= 0 {
		path, domain = path[:i], path[i+1:]
	}
	if local, err := dksPath(path); err == nil {
		path = local
	}
	return path, domain
}

// readDKS reads the stores of one domain: the one that the location names, else the first.
func (s *Store) readDKS(content []byte, name string) error {
	domains, err := parseDKS(string(content))
	if err != nil {
		return s.damaged(err)
	}
	domain := domains[0]
	if name != "" {
		found := false
		var names []string
		for _, d := range domains {
			names = append(names, d.name)
			if !found && strings.EqualFold(d.name, name) {
				domain, found = d, true
			}
		}
		if !found {
			return s.names.fault(FieldLocation, nil, "%s has no domain %q; it has %s", s.what, name, quoted(names))
		}
	}
	for _, d := range domain.stores {
		if err := s.addDKSStore(domain.name, d); err != nil {
			return err
		}
	}
	return nil
}

// addDKSStore opens one store and takes its entries over, with its name before theirs.
func (s *Store) addDKSStore(domain string, d dksStore) error {
	inner := &Store{names: s.names, location: s.location}
	where := fmt.Sprintf("keystore %s of domain %s in %s", d.name, domain, s.what)
	if env, ok := d.properties["keystorepasswordenv"]; ok {
		if inner.location.Password = os.Getenv(env); inner.location.Password == "" {
			return s.names.fault(FieldLocation, nil, "%s takes its password from the environment variable %s (keystorePasswordEnv), which is not set", where, env)
		}
	}
	path, err := dksPath(d.properties["keystoreuri"])
	if err != nil {
		return s.names.fault(FieldLocation, err, "%s: keystoreURI: %v", where, err)
	}
	want := kind("")
	if t := d.properties["keystoretype"]; t != "" {
		if want, err = kindOf(strings.ToLower(t)); err == nil && want == kindDKS {
			err = errors.New("a DKS store cannot be part of another one")
		}
		if err != nil {
			return s.names.fault(FieldLocation, err, "%s: keystoreType: %v", where, err)
		}
	}
	if err := inner.readPart(path, want); err != nil {
		return inDKS(err, where)
	}
	separator := dksSeparator
	if p, ok := d.properties["entrynameseparator"]; ok {
		separator = p
	}
	for _, e := range inner.entries {
		e.inner, e.alias = e.alias, d.name+separator+e.alias
		s.entries = append(s.entries, e)
	}
	s.files = append(s.files, inner.files...)
	return nil
}

// readPart reads a store that a domain names, which is no domain itself.
func (s *Store) readPart(path string, want kind) error {
	if want == kindPKCS11 {
		return s.readPKCS11(path, s.location.Password)
	}
	content, err := readBounded(path)
	if err != nil {
		return s.names.fault(FieldLocation, err, "cannot be read: %v", err)
	}
	s.files = []string{path}
	if is, _ := found(content); is == kindDKS {
		return s.names.fault(FieldLocation, nil, "%s is a DKS file, which cannot be part of another one", path)
	}
	return s.readContent(path, "", content, want)
}

// inDKS says where in the domain an error was met.
func inDKS(err error, where string) error {
	var f *Error
	if errors.As(err, &f) {
		return &Error{Setting: f.Setting, Text: f.Text + " (" + where + ")", Err: err}
	}
	return err
}

// dksPath is the file of a keystoreURI: a plain path, or file:///path with percent escapes.
func dksPath(uri string) (string, error) {
	if uri == "" {
		return "", errors.New("is not set")
	}
	if !strings.HasPrefix(uri, "file:") {
		return uri, nil
	}
	u, err := url.Parse(uri)
	if err != nil {
		return "", err
	}
	if u.Path == "" || u.Host != "" && u.Host != "localhost" {
		return "", fmt.Errorf("%s is not a local file, expected a path or file:///path", uri)
	}
	return filepath.FromSlash(u.Path), nil
}

// dksParser reads the text.
type dksParser struct {
	lexer dksLexer
	token dksToken
}

func parseDKS(text string) ([]dksDomain, error) {
	p := &dksParser{lexer: dksLexer{text: text}}
	p.advance()
	var domains []dksDomain
	for p.token.text != "" || p.token.quoted {
		d, err := p.domain()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.token.line, err)
		}
		domains = append(domains, d)
	}
	if len(domains) == 0 {
		return nil, errors.New("it has no domain")
	}
	return domains, nil
}

func (p *dksParser) advance() { p.token = p.lexer.next() }

// is tells whether the next token is a word or sign.
func (p *dksParser) is(word string) bool {
	return !p.token.quoted && strings.EqualFold(p.token.text, word)
}

func (p *dksParser) expect(word string) error {
	if !p.is(word) {
		return fmt.Errorf("found %s, expected %q", p.token, word)
	}
	p.advance()
	return nil
}

func (p *dksParser) name(of string) (string, error) {
	name := p.token.text
	if name == "" || !p.token.quoted && strings.ContainsAny(name, "{};=") {
		return "", fmt.Errorf("found %s, expected the name of a %s", p.token, of)
	}
	p.advance()
	return name, nil
}

func (p *dksParser) domain() (dksDomain, error) {
	var d dksDomain
	err := p.expect("domain")
	if err != nil {
		return d, err
	}
	if d.name, err = p.name("domain"); err != nil {
		return d, err
	}
	if d.properties, err = p.properties("{", nil); err != nil {
		return d, err
	}
	seen := map[string]bool{}
	for !p.is("}") {
		k, err := p.store(d.properties)
		if err != nil {
			return d, err
		}
		if seen[k.name] {
			return d, fmt.Errorf("a second keystore %s in domain %s", k.name, d.name)
		}
		seen[k.name] = true
		if d.stores = append(d.stores, k); len(d.stores) > maxDKSStores {
			return d, fmt.Errorf("more than %d keystores in domain %s", maxDKSStores, d.name)
		}
	}
	p.advance()
	if p.is(";") {
		p.advance()
	}
	if len(d.stores) == 0 {
		return d, fmt.Errorf("domain %s has no keystore", d.name)
	}
	return d, nil
}

func (p *dksParser) store(defaults map[string]string) (dksStore, error) {
	var k dksStore
	err := p.expect("keystore")
	if err != nil {
		return k, err
	}
	if k.name, err = p.name("keystore"); err != nil {
		return k, err
	}
	k.properties, err = p.properties(";", defaults)
	return k, err
}

// properties reads those up to end, over defaults.
func (p *dksParser) properties(end string, defaults map[string]string) (map[string]string, error) {
	all := maps.Clone(defaults)
	if all == nil {
		all = map[string]string{}
	}
	for !p.is(end) {
		name := strings.ToLower(p.token.text)
		if p.token.quoted || dksProperties[name] == "" {
			return nil, fmt.Errorf("found %s, expected a property (keystoreType, keystoreURI, keystoreProviderName, keystorePasswordEnv, entryNameSeparator) or %q", p.token, end)
		}
		p.advance()
		if err := p.expect("="); err != nil {
			return nil, err
		}
		if !p.token.quoted {
			return nil, fmt.Errorf("found %s, expected the value of %s in quotes", p.token, dksProperties[name])
		}
		value, err := expand(p.token.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dksProperties[name], err)
		}
		all[name] = value
		p.advance()
	}
	p.advance()
	return all, nil
}

// expand replaces ${name} by what a Java system property of that name would be on this machine.
func expand(value string) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "${")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", fmt.Errorf("${%s has no end", rest)
		}
		property, err := systemProperty(name)
		if err != nil {
			return "", err
		}
		out.WriteString(property)
		value = after
	}
}

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
	return "", fmt.Errorf("${%s} has no value here, known are user.dir, user.home, user.name, java.home, java.io.tmpdir, file.separator, path.separator and /", name)
}

// dksToken is a word, a sign of "{};=", or a quoted text; the end of the text is a token without text.
type dksToken struct {
	text   string
	quoted bool
	line   int
}

func (t dksToken) String() string {
	if t.text == "" && !t.quoted {
		return "the end of the file"
	}
	return fmt.Sprintf("%q", t.text)
}

// dksLexer takes the text apart as Java's StreamTokenizer does: // and /* */ comments, words, and texts in either quotes with \ escapes, which end
// with the line at the latest.
type dksLexer struct {
	text string
	line int // from 0
}

func (l *dksLexer) next() dksToken {
	l.skip()
	t := dksToken{line: l.line + 1}
	switch {
	case l.text == "":
	case l.text[0] == '"' || l.text[0] == '\'':
		t.text, t.quoted = l.quotation(), true
	case strings.IndexByte("{};=", l.text[0]) >= 0:
		t.text, l.text = l.text[:1], l.text[1:]
	default:
		end := strings.IndexFunc(l.text, func(r rune) bool { return r <= ' ' || strings.ContainsRune("{};=\"'", r) })
		if end < 0 {
			end = len(l.text)
		}
		t.text, l.text = l.text[:end], l.text[end:]
	}
	return t
}

// skip takes white space and comments away.
func (l *dksLexer) skip() {
	for {
		trimmed := strings.TrimLeft(l.text, " \t\r\n\f\v\ufeff")
		end := 0
		switch {
		case strings.HasPrefix(trimmed, "//"):
			if end = strings.IndexByte(trimmed, '\n'); end < 0 {
				end = len(trimmed)
			}
		case strings.HasPrefix(trimmed, "/*"):
			if end = strings.Index(trimmed[2:], "*/") + 4; end < 4 {
				end = len(trimmed)
			}
		}
		taken := len(l.text) - len(trimmed) + end
		l.line += strings.Count(l.text[:taken], "\n")
		l.text = l.text[taken:]
		if end == 0 {
			return
		}
	}
}

var dksEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'f': '\f', 'b': '\b', 'v': '\v', 'a': 7}

func (l *dksLexer) quotation() string {
	quote := l.text[0]
	var out strings.Builder
	i := 1
	for ; i < len(l.text) && l.text[i] != quote && l.text[i] != '\n'; i++ {
		c := l.text[i]
		if c == '\\' && i+1 < len(l.text) && l.text[i+1] != '\n' {
			var taken int
			c, taken = unescape(l.text[i+1:])
			i += taken
		}
		out.WriteByte(c)
	}
	if i < len(l.text) && l.text[i] == quote {
		i++
	}
	l.text = l.text[i:]
	return out.String()
}

// unescape reads what stands behind a \: a letter, at most three octal digits for one byte, or anything else for itself.
func unescape(text string) (c byte, taken int) {
	if e, ok := dksEscapes[text[0]]; ok {
		return e, 1
	}
	for taken < 3 && taken < len(text) && text[taken] >= '0' && text[taken] <= '7' && (taken < 2 || text[0] <= '3') {
		c = c<<3 | (text[taken] - '0')
		taken++
	}
	if taken == 0 {
		return text[0], 1
	}
	return c, taken
}
