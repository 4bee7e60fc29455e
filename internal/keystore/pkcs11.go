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

// openTokens are the tokens in use: a module counts who is logged in for the whole process, so one session serves all
// that name a token. It is locked while inspect and openSlot run: inspect may finalize the module, which would end a
// session that is opened meanwhile.
var openTokens = struct {
	sync.Mutex
	all map[tokenSlot]openToken
}{all: map[tokenSlot]openToken{}}

type tokenSlot struct {
	module string
	slot   uint
}

type openToken struct {
	context *crypto11.Context
	pin     string
}

// tokenCert is a certificate on a token.
type tokenCert struct {
	label   string
	id      []byte
	der     []byte
	trusted bool // CKA_TRUSTED
}

// readPKCS11 reads the keys and certificates of a token. Private keys never leave the token, which signs.
func (s *Store) readPKCS11(path, pin string) error {
	if pin == "" {
		return s.names.fault(FieldPassword, nil, "is not set: a PKCS#11 token is opened with its PIN")
	}
	t, err := parseToken(path)
	if err != nil {
		return s.names.fault(FieldLocation, err, "%s: %v", path, err)
	}
	s.what = "the PKCS#11 token of " + path
	openTokens.Lock()
	defer openTokens.Unlock()
	slot, certs, err := t.inspect()
	if err != nil {
		return s.names.fault(FieldLocation, err, "%s: %v", path, err)
	}
	context, err := openSlot(tokenSlot{t.module, slot}, pin)
	if err != nil {
		var code pkcs11.Error
		if errors.As(err, &code) && (code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_LEN_RANGE ||
			code == pkcs11.CKR_PIN_INVALID) {
			return s.names.fault(FieldPassword, fmt.Errorf("%w (%w)", errPassword, err),
				"wrong PIN for %s; a token locks itself after a few of them", s.what)
		}
		if errors.Is(err, errPassword) {
			return s.names.fault(FieldPassword, err, "another PIN than the one that %s was opened with before", s.what)
		}
		return s.names.fault(FieldLocation, err, "%s cannot be opened: %v", s.what, err)
	}
	return s.addToken(context, certs)
}

// parseToken reads a location: a module, "module#label of a token", or the configuration file of Java's SunPKCS11.
func parseToken(path string) (token, error) {
	module, label := path, ""
	if _, err := os.Stat(path); err != nil {
		if i := strings.LastIndexByte(path, '#'); i >= 0 {
			module, label = path[:i], path[i+1:]
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
		err = errors.New("it is no PKCS#11 module, and no configuration of one: it has no line library = FILE")
	}
	t.label = label
	return t, err
}

// inspect finds the token's slot and lists its certificates. The caller holds the lock of openTokens.
func (t token) inspect() (uint, []tokenCert, error) {
	module := pkcs11.New(t.module)
	if module == nil {
		return 0, nil, fmt.Errorf("%s cannot be loaded as a PKCS#11 module", t.module)
	}
	defer module.Destroy()
	switch err := module.Initialize(); err {
	case nil:
		defer module.Finalize()
	case pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED):
	default:
		return 0, nil, err
	}
	slot, err := t.choose(module)
	if err != nil {
		return 0, nil, err
	}
	certs, err := tokenCerts(module, slot)
	return slot, certs, err
}

// choose returns the slot of the token: the one that is named, or the only one that has been initialised.
func (t token) choose(module *pkcs11.Ctx) (uint, error) {
	slots, err := module.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	if t.index != nil {
		if *t.index >= len(slots) {
			return 0, fmt.Errorf("slotListIndex = %d, and the module has %d slots with a token", *t.index, len(slots))
		}
		return slots[*t.index], nil
	}
	var fit []uint
	var seen []string
	for _, slot := range slots {
		info, err := module.GetTokenInfo(slot)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue
		}
		label := strings.TrimRight(info.Label, " \x00")
		seen = append(seen, fmt.Sprintf("%q in slot %d", label, slot))
		if (t.slot == nil || uint(*t.slot) == slot) && (t.label == "" || t.label == label) {
			fit = append(fit, slot)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	if len(seen) == 0 {
		seen = []string{"no token that is initialised"}
	}
	return 0, fmt.Errorf("%d tokens fit, expected one; name it as MODULE#LABEL. The module has %s", len(fit),
		strings.Join(seen, ", "))
}

// tokenCerts lists the certificates of a token, which can be seen without its PIN.
func tokenCerts(module *pkcs11.Ctx, slot uint) ([]tokenCert, error) {
	session, err := module.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, err
	}
	defer module.CloseSession(session)
	err = module.FindObjectsInit(session, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS,
		pkcs11.CKO_CERTIFICATE)})
	if err != nil {
		return nil, err
	}
	const most = 10_000
	handles, _, err := module.FindObjects(session, most)
	if err == nil {
		err = module.FindObjectsFinal(session)
	}
	if err != nil {
		return nil, err
	}
	var certs []tokenCert
	for _, h := range handles {
		var c tokenCert
		a, err := module.GetAttributeValue(session, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil),
			pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
			pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
		if err != nil {
			continue // of another type than X.509
		}
		c.label, c.id, c.der = string(a[0].Value), a[1].Value, a[2].Value
		if a, err := module.GetAttributeValue(session, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_TRUSTED,
			nil)}); err == nil {
			c.trusted = len(a[0].Value) == 1 && a[0].Value[0] != 0
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// openSlot logs in, or returns the session that is logged in. The caller holds the lock of openTokens.
func openSlot(at tokenSlot, pin string) (*crypto11.Context, error) {
	if open, ok := openTokens.all[at]; ok {
		if open.pin != pin {
			return nil, errPassword
		}
		return open.context, nil
	}
	slot := int(at.slot)
	context, err := crypto11.Configure(&crypto11.Config{Path: at.module, SlotNumber: &slot, Pin: pin})
	if err != nil {
		return nil, err
	}
	openTokens.all[at] = openToken{context: context, pin: pin}
	return context, nil
}

// addToken makes entries. As with PKCS12, those certificates are trusted that are marked so, and without a mark and
// without a key all.
func (s *Store) addToken(context *crypto11.Context, certs []tokenCert) error {
	pairs, err := context.FindAllPairedCertificates()
	if err != nil {
		return s.damaged(err)
	}
	var all []*x509.Certificate
	for _, c := range certs {
		if parsed, err := x509.ParseCertificate(c.der); err == nil {
			all = append(all, parsed)
		}
	}
	for _, p := range pairs {
		e := entry{kind: keyEntry, chain: chainOf([]*x509.Certificate{p.Leaf}, all), recover: func() (crypto.PrivateKey,
			error) {
			return p.PrivateKey, nil
		}}
		if a, err := context.GetAttribute(p.PrivateKey, crypto11.CkaLabel); err == nil && a != nil {
			e.alias = string(a.Value)
		}
		s.entries = append(s.entries, e)
	}
	marked := slices.ContainsFunc(certs, func(c tokenCert) bool { return c.trusted })
	for _, c := range certs {
		if c.trusted || !marked && len(pairs) == 0 {
			e := entry{alias: c.label, kind: trustedEntry}
			e.add(x509.ParseCertificate(c.der))
			s.entries = append(s.entries, e)
		}
	}
	return nil
}
