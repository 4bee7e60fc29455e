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

	"github.com/square/certigo/jceks"
)

// JKS and JCEKS are one container with different magic numbers. It is walked here because keystore-go and certigo
// allocate whatever length a file names, take passwords of Latin-1 only, and refuse the whole file for one secret key.
// Keys of JCEKS are decrypted by certigo.
const (
	jksPrivateKey  = 1
	jksCertificate = 2
	jksSecretKey   = 3
)

var (
	oidJKSKey   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 17, 1, 1}
	oidJCEKSKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 42, 2, 19, 1} // PBEWithMD5AndDES3CBC
)

// javaReader takes big-endian values from the front; the first one that is not there is kept as err, and what is read
// after it is zero.
type javaReader struct {
	rest []byte
	err  error
}

func (r *javaReader) take(n int, what string) []byte {
	if r.err == nil && (n < 0 || n > len(r.rest)) {
		r.err = fmt.Errorf("%s of %d bytes, and %d bytes are left", what, n, len(r.rest))
	}
	if r.err != nil {
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *javaReader) u8(what string) int {
	if b := r.take(1, what); b != nil {
		return int(b[0])
	}
	return 0
}

func (r *javaReader) u16(what string) int {
	if b := r.take(2, what); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *javaReader) u32(what string) int {
	if b := r.take(4, what); b != nil {
		return int(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *javaReader) utf(what string) string {
	return strings.ToValidUTF8(string(r.take(r.u16(what), what)), "?")
}

func (s *Store) readJKS(content []byte) error {
	r := &javaReader{rest: content}
	magic := r.take(4, "magic number")
	version := r.u32("version")
	if r.err == nil && version != 1 && version != 2 {
		return s.damaged(fmt.Errorf("version %d, expected 1 or 2", version))
	}
	count := r.u32("number of entries")
	for i := 0; i < count && r.err == nil; i++ {
		e := s.readJKSEntry(r, version, magic)
		if r.err != nil {
			return s.damaged(fmt.Errorf("entry %d of %d: %w", i+1, count, r.err))
		}
		s.entries = append(s.entries, e)
	}
	signed := content[:len(content)-len(r.rest)]
	digest := r.take(sha1.Size, "digest")
	if r.err != nil {
		return s.damaged(r.err)
	}
	if subtle.ConstantTimeCompare(digest, jksDigest(signed, s.location.Password)) != 1 {
		return s.wrongPassword()
	}
	return nil
}

// jksDigest is what ends a file: a hash of the password and all before it.
func jksDigest(signed []byte, password string) []byte {
	h := sha1.New()
	h.Write(utf16BE(password))
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(signed)
	return h.Sum(nil)
}

func (s *Store) readJKSEntry(r *javaReader, version int, magic []byte) entry {
	start := r.rest
	tag := r.u32("tag")
	e := entry{alias: r.utf("alias")}
	r.take(8, "date")
	switch {
	case r.err != nil:
	case tag == jksPrivateKey:
		e.kind = keyEntry
		protected := r.take(r.u32("key"), "key")
		for n := r.u32("number of certificates"); n > 0 && r.err == nil; n-- {
			e.add(r.certificate(version))
		}
		password, frame := s.keyPassword(), jceksSingle(version, start[:len(start)-len(r.rest)])
		e.recover = sync.OnceValues(func() (crypto.PrivateKey, error) {
			return recoverJKS(protected, frame, password, s.work)
		})
	case tag == jksCertificate:
		e.add(r.certificate(version))
	case tag == jksSecretKey && bytes.Equal(magic, []byte{0xce, 0xce, 0xce, 0xce}):
		e.kind = secretEntry
		skipJavaObject(r)
	default:
		r.err = fmt.Errorf("a tag %d, expected 1, 2 or, in JCEKS, 3", tag)
	}
	return e
}

// certificate reads one that stands in the file with its type in front, which version 1 did not have.
func (r *javaReader) certificate(version int) (*x509.Certificate, error) {
	name := "X.509"
	if version == 2 {
		name = r.utf("type of a certificate")
	}
	der := r.take(r.u32("certificate"), "certificate")
	if r.err != nil {
		return nil, r.err
	}
	if name != "X.509" && name != "X509" {
		return nil, fmt.Errorf("it is of type %q, expected X.509", name)
	}
	return x509.ParseCertificate(der)
}

// add puts the next certificate into the chain; one that cannot be read breaks the entry, not the file.
func (e *entry) add(c *x509.Certificate, err error) {
	if err != nil {
		e.broken = errors.Join(e.broken, err)
		return
	}
	e.chain = append(e.chain, c)
}

// jceksSingle is a JCEKS file with one entry.
func jceksSingle(version int, raw []byte) []byte {
	frame := []byte{0xce, 0xce, 0xce, 0xce}
	frame = binary.BigEndian.AppendUint32(frame, uint32(version))
	frame = binary.BigEndian.AppendUint32(frame, 1)
	return append(frame, raw...)
}

// recoverJKS decrypts a key; JCEKS may hold those of JKS too.
func recoverJKS(protected, frame []byte, password string, w *work) (crypto.PrivateKey, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if err := unmarshal(protected, &info); err != nil {
		return nil, err
	}
	switch {
	case info.Algorithm.Algorithm.Equal(oidJKSKey):
		der, err := unprotectJKS(info.Data, password)
		if err != nil {
			return nil, err
		}
		return parseKey(der)
	case info.Algorithm.Algorithm.Equal(oidJCEKSKey):
		return recoverJCEKS(info.Algorithm, frame, password, w)
	}
	return nil, fmt.Errorf("the cipher %s is not known", info.Algorithm.Algorithm)
}

// unprotectJKS undoes Sun's KeyProtector: salt, key XOR stream, check, where the stream is a chain of hashes of the
// password. keystore-go has it for passwords of Latin-1 only, and panics when data is short.
func unprotectJKS(data []byte, password string) ([]byte, error) {
	if len(data) < 2*sha1.Size {
		return nil, fmt.Errorf("%d bytes, expected a salt and a check of %d bytes each", len(data), sha1.Size)
	}
	salt, data := data[:sha1.Size], data[sha1.Size:]
	plain, check := bytes.Clone(data[:len(data)-sha1.Size]), data[len(data)-sha1.Size:]
	pass := utf16BE(password)
	stream := salt
	for i := range plain {
		if i%sha1.Size == 0 {
			sum := sha1.Sum(append(pass[:len(pass):len(pass)], stream...))
			stream = sum[:]
		}
		plain[i] ^= stream[i%sha1.Size]
	}
	sum := sha1.Sum(append(pass[:len(pass):len(pass)], plain...))
	if subtle.ConstantTimeCompare(sum[:], check) != 1 {
		return nil, errPassword
	}
	return plain, nil
}

// recoverJCEKS has certigo decrypt the key of a file of its own: without a password for the file certigo does not look
// for the digest.
func recoverJCEKS(algorithm pkix.AlgorithmIdentifier, frame []byte, password string, w *work) (crypto.PrivateKey,
	error) {
	var p struct {
		Salt       []byte
		Iterations int
	}
	if err := unmarshal(algorithm.Parameters.FullBytes, &p); err != nil {
		return nil, err
	}
	if err := w.spend(p.Iterations); err != nil {
		return nil, err
	}
	ks, err := jceks.LoadFromReader(bytes.NewReader(frame), nil)
	if err != nil {
		return nil, err
	}
	aliases := ks.ListPrivateKeys()
	if len(aliases) == 0 {
		return nil, errors.New("it has no certificate")
	}
	key, _, err := ks.GetPrivateKeyAndCerts(aliases[0], []byte(password))
	if err != nil {
		// The cipher does not notice a wrong password, and what it makes of the key then is seldom DER.
		return nil, fmt.Errorf("%w (%w)", errPassword, err)
	}
	return key, nil
}
