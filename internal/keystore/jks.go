package keystore

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// JKS and JCEKS have one format with different magic numbers. Not used: keystore-go, which does not support JCEKS,
// rejects passwords beyond Latin-1, which keytool accepts, and allocates any length that a file contains.
const (
	jksPrivateKey  = 1
	jksCertificate = 2
	jksSecretKey   = 3
)

var (
	jksMagic   = []byte{0xfe, 0xed, 0xfe, 0xed}
	jceksMagic = []byte{0xce, 0xce, 0xce, 0xce}
)

var (
	oidJKSKey   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 17, 1, 1}
	oidJCEKSKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 19, 1} // PBEWithMD5AndDES3CBC
)

// javaReader reads big-endian values; their names are for errors. After the first error, values are zero.
type javaReader struct {
	remaining []byte
	err       error
}

func (r *javaReader) next(n int, element string) []byte {
	if r.err == nil && (n < 0 || n > len(r.remaining)) {
		r.err = fmt.Errorf("%s of %d bytes, but %d bytes remain", element, n, len(r.remaining))
	}
	if r.err != nil {
		return nil
	}
	value := r.remaining[:n:n]
	r.remaining = r.remaining[n:]
	return value
}

func (r *javaReader) u8(element string) int {
	if b := r.next(1, element); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *javaReader) u16(element string) int {
	if b := r.next(2, element); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *javaReader) u32(element string) int {
	if b := r.next(4, element); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *javaReader) utf(element string) string {
	return strings.ToValidUTF8(string(r.next(r.u16(element), element)), "?")
}

// readJKS reads all entries of a JKS or JCEKS file, then checks the password.
func (s *Store) readJKS(content []byte) error {
	r := &javaReader{remaining: content}
	magic := r.next(4, "magic number")
	version := r.u32("version")
	if r.err == nil && version != 1 && version != 2 {
		return s.unreadable(fmt.Errorf("version %d, expected 1 or 2", version))
	}
	count := r.u32("number of entries")
	for i := 0; i < count && r.err == nil; i++ {
		e := s.readJKSEntry(r, version, magic)
		if r.err != nil {
			return s.unreadable(fmt.Errorf("entry %d of %d: %w", i+1, count, r.err))
		}
		s.entries = append(s.entries, e)
	}
	signed := content[:len(content)-len(r.remaining)]
	digest := r.next(sha1.Size, "digest")
	if r.err != nil {
		return s.unreadable(r.err)
	}
	if subtle.ConstantTimeCompare(digest, jksDigest(signed, s.location.Password)) != 1 {
		return s.wrongPassword()
	}
	return nil
}

// jksDigest returns the last field of a file: a hash of the password and the bytes before.
func jksDigest(signed []byte, password string) []byte {
	h := sha1.New()
	h.Write(utf16BE(password))
	h.Write([]byte("Mighty Aphrodite")) // of Sun's JavaKeyStore
	h.Write(signed)
	return h.Sum(nil)
}

// readJKSEntry reads an entry. An error is in r.
func (s *Store) readJKSEntry(r *javaReader, version int, magic []byte) entry {
	tag := r.u32("tag")
	result := entry{alias: r.utf("alias")}
	r.next(8, "date")
	switch {
	case r.err != nil: // the caller reports it
	case tag == jksPrivateKey:
		result.kind = keyEntry
		protected := r.next(r.u32("key"), "key")
		for n := r.u32("number of certificates"); n > 0 && r.err == nil; n-- {
			result.addCertificate(r.readCertificate(version))
		}
		password := s.keyPassword()
		result.recover = sync.OnceValues(func() (crypto.PrivateKey, error) {
			var info struct {
				Algorithm pkix.AlgorithmIdentifier
				Data      []byte
			}
			if err := unmarshal(protected, &info); err != nil {
				return nil, err
			}
			if !info.Algorithm.Algorithm.Equal(oidJKSKey) {
				return openPKCS8(protected, password, s.budget)
			}
			der, err := unprotectJKS(info.Data, password)
			if err != nil {
				return nil, err
			}
			return parseKey(der)
		})
	case tag == jksCertificate:
		result.addCertificate(r.readCertificate(version))
	case tag == jksSecretKey && bytes.Equal(magic, jceksMagic):
		result.kind = secretEntry
		if header := r.u32("header of a secret key"); r.err == nil && header != 0xaced0005 {
			r.err = fmt.Errorf("a secret key begins with %08x, expected aced0005 (a serialized Java object)", header)
		}
		(&javaObject{javaReader: r}).skipValue()
	default:
		r.err = fmt.Errorf("a tag %d, expected 1, 2 or, in JCEKS, 3", tag)
	}
	return result
}

// readCertificate reads a certificate; its type precedes it since version 2.
func (r *javaReader) readCertificate(version int) (*x509.Certificate, error) {
	name := "X.509"
	if version == 2 {
		name = r.utf("type of a certificate")
	}
	der := r.next(r.u32("certificate"), "certificate")
	if r.err != nil {
		return nil, r.err
	}
	if name != "X.509" && name != "X509" {
		return nil, fmt.Errorf("type %q, expected X.509", name)
	}
	return x509.ParseCertificate(der)
}

// addCertificate appends to the chain. An unreadable certificate invalidates the entry, not the store.
func (e *entry) addCertificate(c *x509.Certificate, err error) {
	if err != nil {
		e.certErr = errors.Join(e.certErr, err)
		return
	}
	e.chain = append(e.chain, c)
}

// unprotectJKS decrypts Sun's KeyProtector: salt, key XOR a chain of hashes of the password, hash.
func unprotectJKS(rest []byte, password string) ([]byte, error) {
	if len(rest) < 2*sha1.Size {
		return nil, fmt.Errorf("%d bytes, expected a salt and a check of %d bytes each", len(rest), sha1.Size)
	}
	salt := rest[:sha1.Size]
	rest = rest[sha1.Size:]
	plain := bytes.Clone(rest[:len(rest)-sha1.Size])
	check := rest[len(rest)-sha1.Size:]
	passwordBytes := utf16BE(password)
	stream := salt
	for i := range plain {
		if i%sha1.Size == 0 {
			sum := sha1.Sum(append(passwordBytes[:len(passwordBytes):len(passwordBytes)], stream...))
			stream = sum[:]
		}
		plain[i] ^= stream[i%sha1.Size]
	}
	sum := sha1.Sum(append(passwordBytes[:len(passwordBytes):len(passwordBytes)], plain...))
	if subtle.ConstantTimeCompare(sum[:], check) != 1 {
		return nil, errPassword
	}
	return plain, nil
}
