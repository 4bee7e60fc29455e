//go:build pkcs11

package keystore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"
)

// openTokens are the tokens in use: a module has one login per process. It is locked during inspect and openSlot.
var openTokens = struct {
	sync.Mutex
	bySlot map[tokenSlot]openToken
}{bySlot: map[tokenSlot]openToken{}}

type tokenSlot struct {
	module string
	slot   uint
}

type openToken struct {
	context *crypto11.Context
	pin     string
}

type tokenCert struct {
	label     string
	id        []byte
	der       []byte
	isTrusted bool // CKA_TRUSTED
}

// readPKCS11 reads the keys and certificates of a token. Private keys stay on the token, which signs.
func (s *Store) readPKCS11(path, pin string) error {
	if pin == "" {
		return s.names.errorf(FieldPassword, nil, "is not set: a PKCS#11 token is opened with its PIN")
	}
	t, err := parseToken(path)
	if err != nil {
		return s.names.errorf(FieldLocation, err, "%s: %v", path, err)
	}
	s.description = "the PKCS#11 token of " + path
	openTokens.Lock()
	defer openTokens.Unlock()
	slot, certs, err := t.inspect()
	if err != nil {
		return s.names.errorf(FieldLocation, err, "%s: %v", path, err)
	}
	context, err := openSlot(tokenSlot{t.module, slot}, pin)
	if err != nil {
		var code pkcs11.Error
		if errors.As(err, &code) && (code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_LEN_RANGE ||
			code == pkcs11.CKR_PIN_INVALID) {
			return s.names.errorf(FieldPassword, fmt.Errorf("%w (%w)", errPassword, err),
				"wrong PIN for %s; tokens lock after a few wrong PINs", s.description)
		}
		if errors.Is(err, errPassword) {
			return s.names.errorf(FieldPassword, err, "a different PIN than the one with which %s is open",
				s.description)
		}
		return s.names.errorf(FieldLocation, err, "%s cannot be opened: %v", s.description, err)
	}
	return s.addToken(context, certs)
}

// parseToken reads a location: a module, "module#token label", or the configuration of Java's SunPKCS11.
func parseToken(path string) (token, error) {
	module := path
	label := ""
	if _, err := os.Stat(path); err != nil {
		if i := strings.LastIndexByte(path, '#'); i >= 0 {
			module = path[:i]
			label = path[i+1:]
		}
	}
	content, err := ReadFile(module)
	if err != nil {
		return token{}, err
	}
	if bytes.HasPrefix(content, []byte("\x7fELF")) || bytes.IndexByte(content, 0) >= 0 {
		return token{module: module, label: label}, nil
	}
	t, err := parseSunPKCS11(content)
	if err == nil && t.module == "" {
		err = errors.New("expected a PKCS#11 module or a configuration with a line library = FILE")
	}
	t.label = label
	return t, err
}

// inspect returns the token's slot and certificates. The caller holds the lock of openTokens.
func (t token) inspect() (uint, []tokenCert, error) {
	module := pkcs11.New(t.module)
	if module == nil {
		return 0, nil, fmt.Errorf("%s cannot be loaded as a PKCS#11 module", t.module)
	}
	defer module.Destroy()
	switch err := module.Initialize(); err {
	case nil:
		defer module.Finalize()
	case pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED): // by the session of an open token, which still needs it
	default:
		return 0, nil, err
	}
	slot, err := t.chooseSlot(module)
	if err != nil {
		return 0, nil, err
	}
	certs, err := tokenCerts(module, slot)
	return slot, certs, err
}

// chooseSlot returns the slot of the token: the configured one, or the only initialized one.
func (t token) chooseSlot(module *pkcs11.Ctx) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	if t.index != nil {
		if *t.index >= len(slots) {
			return 0, fmt.Errorf("slotListIndex = %d, but the module has %d slots with a token", *t.index, len(slots))
		}
		return slots[*t.index], nil
	}
	var matching []uint
	var seen []string
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		label := strings.TrimRight(info.Label, " \x00")
		seen = append(seen, fmt.Sprintf("%q in slot %d", label, slot))
		if (t.slot == nil || uint(*t.slot) == slot) && (t.label == "" || t.label == label) {
			matching = append(matching, slot)
		}
	}
	if len(matching) == 1 {
		return matching[0], nil
	}
	if len(seen) == 0 {
		seen = []string{"no initialized token"}
	}
	return 0, fmt.Errorf("%d tokens match, expected one; specify it as MODULE#LABEL. The module has %s", len(matching),
		strings.Join(seen, ", "))
}

// tokenCerts returns the certificates of a token, which are readable without its PIN.
func tokenCerts(module *pkcs11.Ctx, slot uint) ([]tokenCert, error) {
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, err
	}
	defer module.CloseSession(session)
	template := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE)}
	err = module.FindObjectsInit(session, template)
	if err != nil {
		return nil, err
	}
	const maxCerts = 10_000
	handles, _, err := module.FindObjects(session, maxCerts)
	if err == nil {
		err = module.FindObjectsFinal(session)
	}
	if err != nil {
		return nil, err
	}
	var certs []tokenCert
	for _, h := range handles {
		var c tokenCert
		a, err := module.GetAttributeValue(session, h, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil),
			pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil),
		})
		if err != nil {
			continue // not X.509
		}
		c.label = string(a[0].Value)
		c.id = a[1].Value
		c.der = a[2].Value
		query := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TRUSTED, nil)}
		if a, err := module.GetAttributeValue(session, h, query); err == nil {
			c.isTrusted = len(a[0].Value) == 1 && a[0].Value[0] != 0
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// openSlot logs in, or returns the open session. openTokens is locked.
func openSlot(key tokenSlot, pin string) (*crypto11.Context, error) {
	if open, ok := openTokens.bySlot[key]; ok {
		if open.pin != pin {
			return nil, errPassword
		}
		return open.context, nil
	}
	slot := int(key.slot)
	context, err := crypto11.Configure(&crypto11.Config{Path: key.module, SlotNumber: &slot, Pin: pin})
	if err != nil {
		return nil, err
	}
	openTokens.bySlot[key] = openToken{context: context, pin: pin}
	return context, nil
}

// addToken adds keys and trusted certificates: those with CKA_TRUSTED, or all on a token without keys and marks.
func (s *Store) addToken(context *crypto11.Context, certs []tokenCert) error {
	pairs, err := context.FindAllPairedCertificates()
	if err != nil {
		return s.unreadable(err)
	}
	var issuers []*x509.Certificate
	for _, c := range certs {
		if parsed, err := x509.ParseCertificate(c.der); err == nil {
			issuers = append(issuers, parsed)
		}
	}
	for _, p := range pairs {
		e := entry{kind: keyEntry, chain: chainOf([]*x509.Certificate{p.Leaf}, issuers)}
		e.recover = func() (crypto.PrivateKey, error) { return p.PrivateKey, nil }
		if a, err := context.GetAttribute(p.PrivateKey, crypto11.CkaLabel); err == nil && a != nil {
			e.alias = string(a.Value)
		}
		s.entries = append(s.entries, e)
	}
	hasTrusted := slices.ContainsFunc(certs, func(c tokenCert) bool { return c.isTrusted })
	for _, c := range certs {
		if c.isTrusted || (!hasTrusted && len(pairs) == 0) {
			e := entry{alias: c.label, kind: trustedEntry}
			e.addCertificate(x509.ParseCertificate(c.der))
			s.entries = append(s.entries, e)
		}
	}
	return nil
}
