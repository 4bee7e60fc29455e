// Package keystore opens the stores of keys and certificates that Java programs are configured with (JKS, JCEKS, PKCS12, DKS, PKCS11) and PEM files,
// and makes TLS configurations of them that follow the files when they change.
//
// Every file is taken as hostile: a length is compared with what is left before anything of that size is allocated, and the work of a
// password based cipher is bounded. That, entries for secret keys, passwords beyond Latin-1, aliases and stores with several keys are why the
// containers are walked here; see jks.go and pkcs12.go for what a library does and what it would refuse.
package keystore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Location says where a store is and how to open it.
type Location struct {
	Path        string // file; "file#domain" for dks; for pkcs11 the module, "module#token label", or SunPKCS11's configuration file
	PEM         []byte // PEM text instead of a file
	Content     []byte // what would be in the file, instead of it
	Type        string // jks, jceks, pkcs12, dks, pem, pkcs11, or the same in capital letters; "" = by content
	Password    string // must be given, except for PEM
	KeyPassword string // "" = Password
	Alias       string // the entry to use; needed only when several keys fit
}

// maxFile is the size in bytes up to which a store is read; Java's own trust store has 0.2 MB.
const maxFile = 16 << 20

// Store is a store that was read. Its keys are decrypted when they are asked for.
type Store struct {
	location Location
	names    names
	what     string // "JKS file /etc/client.jks"
	entries  []entry
	files    []string // what it was read from
}

type entryKind int

const (
	trustedEntry entryKind = iota
	keyEntry
	secretEntry
)

func (k entryKind) String() string {
	return [...]string{"trusted certificate", "key", "secret key"}[k]
}

// entry is one of a store. Of a key the chain begins with its own certificate.
type entry struct {
	alias   string
	inner   string // of an entry in a domain: its alias in its own store
	kind    entryKind
	chain   []*x509.Certificate
	broken  error // why a certificate of it cannot be read
	recover func() (crypto.PrivateKey, error) // its work is done once
}

// Open reads a store. Errors are of type [*Error] and name the field of Location to mend.
func Open(l Location) (*Store, error) { return open(l, names{}) }

func open(l Location, n names) (*Store, error) {
	s := &Store{location: l, names: n}
	want := kind("")
	if l.Type != "" {
		var err error
		if want, err = kindOf(l.Type); err != nil {
			return nil, n.fault(FieldType, nil, "%v", err)
		}
	}
	if l.PEM != nil {
		if want != "" && want != kindPEM {
			return nil, n.fault(FieldType, nil, "%s, but the keys or certificates are given as PEM text: write pem", want)
		}
		s.what = "the PEM text"
		return s, s.readPEM(l.PEM, FieldPEM)
	}
	if l.Content != nil {
		// Whoever gives content, such as a destination service, does not choose files of this machine.
		if is, _ := found(l.Content); is == kindDKS || is == kindPKCS11 {
			return nil, n.fault(FieldLocation, nil, "a %s names other files and cannot be given inline", nounOf(is))
		}
		return s, s.readContent("that is given inline", "", l.Content, want)
	}
	if l.Path == "" {
		return nil, n.fault(FieldLocation, nil, "is not set")
	}
	if want == kindPKCS11 {
		return s, s.readPKCS11(l.Path, l.Password)
	}
	return s, s.readFile(want)
}

func (s *Store) readFile(want kind) error {
	path, domain := s.location.Path, ""
	if want == "" || want == kindDKS {
		path, domain = splitDomain(path)
	}
	content, err := readBounded(path)
	if err != nil {
		return s.names.fault(FieldLocation, err, "cannot be read: %v", err)
	}
	s.files = []string{path}
	return s.readContent(path, domain, content, want)
}

// readContent reads a file's content, which must be what was wanted.
func (s *Store) readContent(path, domain string, content []byte, want kind) error {
	is, what := found(content)
	if is == "" {
		return s.names.fault(FieldLocation, nil, "%s is %s, expected %s", path, what, orAny(want))
	}
	if want != "" && !want.reads(is) {
		return s.names.fault(FieldType, nil, "%s, but %s is a %s", want, path, nounOf(is))
	}
	s.what = nounOf(is) + " " + path
	if s.location.Password == "" && is != kindPEM && is != kindDKS {
		return s.names.fault(FieldPassword, nil, "is not set: a %s is not opened without a password, whether it has one or not", nounOf(is))
	}
	switch is {
	case kindJKS, kindJCEKS:
		return s.readJKS(content)
	case kindPKCS12:
		return s.readPKCS12(content)
	case kindDKS:
		return s.readDKS(content, domain)
	case kindPKCS11:
		return s.readPKCS11(path, s.location.Password)
	}
	return s.readPEM(content, FieldLocation)
}

func orAny(want kind) string {
	if want == "" {
		return "a key store (JKS, JCEKS, PKCS12, DKS) or PEM"
	}
	return "a " + nounOf(want)
}

func nounOf(k kind) string { return strings.ToUpper(string(k)) + " file" }

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s has more than %d MiB", path, maxFile>>20)
	}
	return content, err
}

// Certificate returns the key and the certificate chain to authenticate with: the entry of the alias, or the only one whose key can be had,
// goes with its certificate, and is valid now. Of several that fit, those for other uses than TLS clients do not count.
func (s *Store) Certificate() (tls.Certificate, error) {
	candidates, err := s.candidates()
	if err != nil {
		return tls.Certificate{}, err
	}
	var fit []tls.Certificate
	var aliases []string
	var faults []error
	for _, e := range candidates {
		c, err := s.pair(e)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fit, aliases = append(fit, c), append(aliases, e.alias)
	}
	if len(fit) == 0 {
		return tls.Certificate{}, s.noneFits(faults)
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	clients := slices.DeleteFunc(slices.Clone(fit), func(c tls.Certificate) bool { return !forClients(c.Leaf) })
	if len(clients) == 1 {
		return clients[0], nil
	}
	return tls.Certificate{}, s.names.fault(FieldAlias, nil, "is not set, and several keys of %s fit: %s", s.what, quoted(aliases))
}

// candidates are the entries that may be meant.
func (s *Store) candidates() ([]entry, error) {
	if alias := s.location.Alias; alias != "" {
		e, err := s.find(alias)
		if err != nil {
			return nil, err
		}
		return []entry{e}, nil
	}
	var keys []entry
	for _, e := range s.entries {
		if e.kind == keyEntry {
			keys = append(keys, e)
		}
	}
	if len(keys) == 0 {
		return nil, s.names.fault(FieldLocation, nil, "%s holds no private key with a certificate; it holds %s", s.what, s.contents())
	}
	return keys, nil
}

// find returns the entry for a private key with an alias. Java's stores hold aliases in small letters and look them up so.
func (s *Store) find(alias string) (entry, error) {
	i := slices.IndexFunc(s.entries, func(e entry) bool { return e.alias == alias })
	if i < 0 {
		i = slices.IndexFunc(s.entries, func(e entry) bool { return strings.EqualFold(e.alias, alias) })
	}
	if i < 0 {
		i = s.findInner(alias)
	}
	switch {
	case i < 0:
		return entry{}, s.names.fault(FieldAlias, nil, "%s has no entry %q; it holds %s", s.what, alias, s.contents())
	case s.entries[i].kind != keyEntry:
		return entry{}, s.names.fault(FieldAlias, nil, "entry %q of %s is a %s, expected a private key with a certificate", alias, s.what, s.entries[i].kind)
	}
	return s.entries[i], nil
}

// findInner finds an entry of a domain without the name of its store in front, as Java does, if there is only one.
func (s *Store) findInner(alias string) int {
	found := -1
	for i, e := range s.entries {
		if e.inner != "" && strings.EqualFold(e.inner, alias) {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// aliasOf names the entry of a key by its certificate.
func (s *Store) aliasOf(leaf *x509.Certificate) string {
	for _, e := range s.entries {
		if e.kind == keyEntry && len(e.chain) > 0 && e.chain[0].Equal(leaf) {
			return e.alias
		}
	}
	return ""
}

// noneFits is the error for keys of which none can be used. A single one says it as it is.
func (s *Store) noneFits(faults []error) error {
	if len(faults) == 1 {
		return faults[0]
	}
	var texts []string
	for _, err := range faults {
		var f *Error
		if errors.As(err, &f) {
			texts = append(texts, f.Text)
		}
	}
	return s.names.fault(FieldLocation, errors.Join(faults...), "no key of %s can be used: %s", s.what, strings.Join(texts, "; "))
}

// pair decrypts an entry's key and holds it against its certificate.
func (s *Store) pair(e entry) (tls.Certificate, error) {
	if e.broken != nil {
		return tls.Certificate{}, s.names.fault(FieldLocation, e.broken, "a certificate of entry %q of %s cannot be read: %v", e.alias, s.what, e.broken)
	}
	key, err := e.recover()
	if err != nil {
		if errors.Is(err, errPassword) {
			return tls.Certificate{}, s.wrongKeyPassword(e.alias, err)
		}
		return tls.Certificate{}, s.names.fault(FieldLocation, err, "the key of entry %q of %s cannot be read: %v", e.alias, s.what, err)
	}
	if len(e.chain) == 0 {
		return tls.Certificate{}, s.names.fault(FieldLocation, nil, "entry %q of %s is a private key without a certificate", e.alias, s.what)
	}
	leaf := e.chain[0]
	if !goesWith(key, leaf) {
		return tls.Certificate{}, s.names.fault(FieldLocation, nil, "the key of entry %q of %s does not go with its certificate %s", e.alias, s.what, leaf.Subject)
	}
	if err := s.validNow(e.alias, leaf); err != nil {
		return tls.Certificate{}, err
	}
	c := tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, link := range e.chain {
		c.Certificate = append(c.Certificate, link.Raw)
	}
	return c, nil
}

func (s *Store) wrongKeyPassword(alias string, err error) error {
	if s.location.KeyPassword == "" {
		return s.names.fault(FieldKeyPassword, err, "is not set, and %s is not the password of the key of entry %q of %s", s.names.of(FieldPassword), alias, s.what)
	}
	return s.names.fault(FieldKeyPassword, err, "wrong password for the key of entry %q of %s", alias, s.what)
}

func (s *Store) validNow(alias string, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.After(leaf.NotAfter):
		return s.names.fault(FieldLocation, nil, "the certificate %s (entry %q of %s) has expired on %s: put a new one there", leaf.Subject, alias, s.what, stamp(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return s.names.fault(FieldLocation, nil, "the certificate %s (entry %q of %s) is not valid before %s; is this machine's clock right?", leaf.Subject, alias, s.what, stamp(leaf.NotBefore))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// goesWith tells whether a private key is that of a certificate.
func goesWith(key crypto.PrivateKey, leaf *x509.Certificate) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// forClients tells whether a certificate may be used by a TLS client: it says nothing of its use, or that.
func forClients(c *x509.Certificate) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// Roots returns the certificates that the store trusts.
func (s *Store) Roots() (*x509.CertPool, error) {
	trusted, err := s.trusted()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, c := range trusted {
		pool.AddCert(c)
	}
	return pool, nil
}

// trusted lists the trusted certificates and, as Java does, the own ones of keys. One that cannot be read does no harm while there are others:
// there are stores with certificates in them that no standard allows.
func (s *Store) trusted() ([]*x509.Certificate, error) {
	var trusted []*x509.Certificate
	var broken []string
	for _, e := range s.entries {
		switch {
		case e.broken != nil:
			broken = append(broken, fmt.Sprintf("%q cannot be read (%v)", e.alias, e.broken))
		case e.kind != secretEntry && len(e.chain) > 0:
			trusted = append(trusted, e.chain[0])
		}
	}
	if len(trusted) > 0 {
		return trusted, nil
	}
	text := "it holds " + s.contents()
	if broken != nil {
		text += "; " + strings.Join(broken, ", ")
	}
	return nil, s.names.fault(FieldLocation, nil, "%s holds no trusted certificate; %s", s.what, text)
}

// contents describes the entries by name.
func (s *Store) contents() string {
	if len(s.entries) == 0 {
		return "nothing"
	}
	const most = 10
	var texts []string
	for _, e := range s.entries[:min(most, len(s.entries))] {
		texts = append(texts, fmt.Sprintf("%q (%s)", e.alias, e.kind))
	}
	if n := len(s.entries) - most; n > 0 {
		texts = append(texts, fmt.Sprintf("%d more", n))
	}
	return strings.Join(texts, ", ")
}

func quoted(all []string) string {
	var texts []string
	for _, a := range all {
		texts = append(texts, fmt.Sprintf("%q", a))
	}
	return strings.Join(texts, ", ")
}

// keyPassword is the password of keys: their own, or the store's.
func (s *Store) keyPassword() string {
	if s.location.KeyPassword != "" {
		return s.location.KeyPassword
	}
	return s.location.Password
}

// wrongPassword is the error for a store that does not open.
func (s *Store) wrongPassword() error {
	return s.names.fault(FieldPassword, errPassword, "wrong password for %s (or the file is damaged)", s.what)
}

// damaged is the error for a file that is not what its beginning says.
func (s *Store) damaged(err error) error {
	return s.names.fault(FieldLocation, err, "%s cannot be read: %v", s.what, err)
}

// parseKey reads an unencrypted PKCS#8 key.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("it is not a key that TLS can use: %w", err)
	}
	if _, ok := key.(crypto.Signer); !ok {
		return nil, fmt.Errorf("a %T cannot sign, which TLS needs", key)
	}
	return key, nil
}

// parseDecrypted reads a key that was decrypted by a cipher that does not notice a wrong password: bytes that are no PKCS#8 mean one.
func parseDecrypted(der []byte) (crypto.PrivateKey, error) {
	var outer struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		Key        []byte
		Attributes asn1.RawValue `asn1:"optional"`
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return nil, errPassword
	}
	return parseKey(der)
}
