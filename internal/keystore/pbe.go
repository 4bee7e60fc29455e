package keystore

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"unicode/utf16"

	"golang.org/x/crypto/scrypt"
)

// errPassword means that decrypted data are invalid: the password is wrong, or the file is damaged.
var errPassword = errors.New("wrong password")

const (
	maxIterations      = 5_000_000 // per key derivation, as in Java; keytool writes 10,000, openssl 2,048
	maxTotalIterations = 4 * maxIterations
	maxScrypt          = 64 << 20 // bytes
)

// kdfBudget bounds the iterations of key derivations of a store, or of all stores of a DKS domain. It ends with ctx.
type kdfBudget struct {
	ctx       context.Context
	remaining int
}

func newKDFBudget(ctx context.Context) *kdfBudget {
	return &kdfBudget{ctx: ctx, remaining: maxTotalIterations}
}

// spend subtracts iterations, before they are computed.
func (k *kdfBudget) spend(iterations int) error {
	if err := k.ctx.Err(); err != nil {
		return err
	}
	if iterations < 1 || iterations > maxIterations {
		return fmt.Errorf("a key derivation of %d iterations, expected 1 to %d", iterations, maxIterations)
	}
	if k.remaining -= iterations; k.remaining < 0 {
		return fmt.Errorf("key derivations of more than %d iterations in one file", maxTotalIterations)
	}
	return nil
}

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

type hashKind struct {
	oid   asn1.ObjectIdentifier
	make  func() hash.Hash
	block int // bytes, for digests only; "v" of RFC 7292, appendix B
}

// digests are the hashes of a PKCS12 file's MAC, prfs the hashes of PBKDF2.
var (
	digests = []hashKind{
		{oid: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, make: sha1.New, block: 64},
		{oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 4}, make: sha256.New224, block: 64},
		{oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, make: sha256.New, block: 64},
		{oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, make: sha512.New384, block: 128},
		{oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, make: sha512.New, block: 128},
	}
	prfs = []hashKind{
		{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 7}, make: sha1.New},
		{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 8}, make: sha256.New224},
		{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}, make: sha256.New},
		{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 10}, make: sha512.New384},
		{oid: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 11}, make: sha512.New},
	}
)

func findHash(hashes []hashKind, oid asn1.ObjectIdentifier) (hashKind, error) {
	for _, h := range hashes {
		if h.oid.Equal(oid) {
			return h, nil
		}
	}
	return hashKind{}, fmt.Errorf("the hash %s is not supported", oid)
}

// decrypt decrypts data by a password, in CBC mode with padding.
func decrypt(algorithm pkix.AlgorithmIdentifier, data []byte, password string, budget *kdfBudget) ([]byte, error) {
	var block cipher.Block
	var iv []byte
	var err error
	switch oid := algorithm.Algorithm; {
	case oid.Equal(oidPBES2):
		block, iv, err = pbes2(algorithm.Parameters.FullBytes, password, budget)
	case oid.Equal(oidJCEKSKey):
		block, iv, err = pbeMD5DES3(algorithm.Parameters.FullBytes, password, budget)
	default:
		block, iv, err = pbes1(algorithm, password, budget)
	}
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size {
		return nil, fmt.Errorf("an initialization vector of %d bytes, expected %d", len(iv), size)
	}
	if len(data) == 0 || len(data)%size != 0 {
		return nil, fmt.Errorf("%d encrypted bytes, expected blocks of %d", len(data), size)
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > size || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errPassword
	}
	return plain[:len(plain)-pad], nil
}

// pbes1Ciphers are the ciphers of RFC 7292, appendix C, by the last part of their object identifier.
var pbes1Ciphers = map[int]struct {
	keyLen int
	make   func(key []byte) (cipher.Block, error)
}{
	3: {keyLen: 24, make: des.NewTripleDESCipher},
	4: {keyLen: 16, make: func(key []byte) (cipher.Block, error) {
		return des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	}},
	5: {keyLen: 16, make: newRC2},
	6: {keyLen: 5, make: newRC2},
}

// pbes1 returns the cipher and the initialization vector of an algorithm of PKCS12.
func pbes1(algorithm pkix.AlgorithmIdentifier, password string, budget *kdfBudget) (cipher.Block, []byte, error) {
	const ivBytes = 8
	oid := algorithm.Algorithm
	prefix := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1}
	if len(oid) != len(prefix)+1 || !oid[:len(prefix)].Equal(prefix) {
		return nil, nil, fmt.Errorf("the cipher %s is not supported", oid)
	}
	scheme, ok := pbes1Ciphers[oid[len(prefix)]]
	if !ok {
		return nil, nil, fmt.Errorf("the cipher %s (RC4) is not supported", oid)
	}
	var p saltAndIterations
	if err := unmarshal(algorithm.Parameters.FullBytes, &p); err != nil {
		return nil, nil, err
	}
	key, err := pkcs12KDF(digests[0], p.Salt, password, p.Iterations, diversifierKey, scheme.keyLen, budget)
	if err != nil {
		return nil, nil, err
	}
	iv, err := pkcs12KDF(digests[0], p.Salt, password, p.Iterations, diversifierIV, ivBytes, budget)
	if err != nil {
		return nil, nil, err
	}
	block, err := scheme.make(key)
	return block, iv, err
}

type saltAndIterations struct {
	Salt       []byte
	Iterations int
}

// pbeMD5DES3 is PBEWithMD5AndTripleDES: iterated hashes of password and each half of the salt are key and vector.
func pbeMD5DES3(parameters []byte, password string, budget *kdfBudget) (cipher.Block, []byte, error) {
	var parsed saltAndIterations
	if err := unmarshal(parameters, &parsed); err != nil {
		return nil, nil, err
	}
	if len(parsed.Salt) != 8 {
		return nil, nil, fmt.Errorf("a salt of %d bytes, expected 8", len(parsed.Salt))
	}
	if err := budget.spend(parsed.Iterations); err != nil {
		return nil, nil, err
	}
	if bytes.Equal(parsed.Salt[:4], parsed.Salt[4:]) {
		// Sun's implementation permutes equal halves so.
		parsed.Salt[0], parsed.Salt[1], parsed.Salt[2] = parsed.Salt[3], parsed.Salt[0], parsed.Salt[1]
	}
	var derived []byte
	for _, part := range [][]byte{parsed.Salt[:4], parsed.Salt[4:]} {
		for range parsed.Iterations {
			sum := md5.Sum(append(part[:len(part):len(part)], password...))
			part = sum[:]
		}
		derived = append(derived, part...)
	}
	block, err := des.NewTripleDESCipher(derived[:24])
	return block, derived[24:], err
}

// Diversifiers of pkcs12KDF (RFC 7292, appendix B.3).
const (
	diversifierKey = 1
	diversifierIV  = 2
	diversifierMAC = 3
)

// pkcs12KDF is the key derivation of RFC 7292, appendix B.2.
func pkcs12KDF(h hashKind, salt []byte, password string, iterations int, id byte, size int,
	budget *kdfBudget) ([]byte, error) {
	passwordBytes := append(utf16BE(password), 0, 0) // with the final NUL of appendix B.1
	if len(salt) > 1<<10 || len(passwordBytes) > 1<<12 {
		return nil, errors.New("the salt or password is too long")
	}
	digest := h.make()
	diversifier := bytes.Repeat([]byte{id}, h.block)
	input := append(fillBlocks(salt, h.block), fillBlocks(passwordBytes, h.block)...)
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(h.block)*8)
	var out []byte
	for {
		if err := budget.spend(iterations); err != nil {
			return nil, err
		}
		digest.Reset()
		digest.Write(diversifier)
		digest.Write(input)
		a := digest.Sum(nil)
		for range iterations - 1 {
			digest.Reset()
			digest.Write(a)
			a = digest.Sum(a[:0])
		}
		if out = append(out, a...); len(out) >= size {
			return out[:size], nil
		}
		b := new(big.Int).SetBytes(fillBlocks(a, h.block)[:h.block])
		b.Add(b, big.NewInt(1))
		for i := 0; i < len(input); i += h.block {
			block := new(big.Int).SetBytes(input[i : i+h.block])
			block.Add(block, b).Mod(block, modulus).FillBytes(input[i : i+h.block])
		}
	}
}

// fillBlocks repeats b to a multiple of n bytes.
func fillBlocks(b []byte, n int) []byte {
	if len(b) == 0 {
		return nil
	}
	size := (len(b) + n - 1) / n * n
	return bytes.Repeat(b, (size+len(b)-1)/len(b))[:size]
}

// pbes2 returns the cipher and the initialization vector of PBES2 (RFC 8018).
func pbes2(parameters []byte, password string, budget *kdfBudget) (cipher.Block, []byte, error) {
	var parsed struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	if err := unmarshal(parameters, &parsed); err != nil {
		return nil, nil, err
	}
	var iv []byte
	if err := unmarshal(parsed.Scheme.Parameters.FullBytes, &iv); err != nil {
		return nil, nil, err
	}
	oid := parsed.Scheme.Algorithm
	aesCBC := map[int]int{2: 16, 22: 24, 42: 32} // bytes of the key by the last part of the identifier
	switch prefix := (asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1}); {
	case len(oid) == 9 && oid[:8].Equal(prefix) && aesCBC[oid[8]] != 0:
		key, err := deriveKey(parsed.KDF, password, aesCBC[oid[8]], budget)
		if err != nil {
			return nil, nil, err
		}
		block, err := aes.NewCipher(key)
		return block, iv, err
	case oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}): // DES-EDE3-CBC
		key, err := deriveKey(parsed.KDF, password, 24, budget)
		if err != nil {
			return nil, nil, err
		}
		block, err := des.NewTripleDESCipher(key)
		return block, iv, err
	}
	return nil, nil, fmt.Errorf("the cipher %s is not supported", oid)
}

// deriveKey derives a key of size bytes by PBKDF2 or scrypt.
func deriveKey(kdf pkix.AlgorithmIdentifier, password string, size int, budget *kdfBudget) ([]byte, error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		return derivePBKDF2(kdf.Parameters.FullBytes, password, size, budget)
	case kdf.Algorithm.Equal(oidScrypt):
		var parsed struct {
			Salt     []byte
			Cost     int
			Block    int
			Parallel int
			KeyLen   int `asn1:"optional"`
		}
		if err := unmarshal(kdf.Parameters.FullBytes, &parsed); err != nil {
			return nil, err
		}
		// It bounds 128*N*r*p, at least the memory (128*N*r) and also the time. The divisions avoid an overflow.
		if parsed.Cost < 2 || parsed.Block < 1 || parsed.Parallel < 1 || parsed.Cost > maxScrypt/128 ||
			parsed.Block > maxScrypt/128/parsed.Cost || parsed.Parallel > maxScrypt/128/parsed.Cost/parsed.Block {
			return nil, fmt.Errorf("scrypt with N=%d, r=%d, p=%d requires more than %d MiB", parsed.Cost, parsed.Block,
				parsed.Parallel, maxScrypt>>20)
		}
		if err := budget.spend(2 * parsed.Cost * parsed.Block * parsed.Parallel); err != nil {
			return nil, err
		}
		return scrypt.Key([]byte(password), parsed.Salt, parsed.Cost, parsed.Block, parsed.Parallel, size)
	}
	return nil, fmt.Errorf("the key derivation %s is not supported", kdf.Algorithm)
}

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLen     int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// derivePBKDF2 derives a key; size 0 means the length in the parameters.
func derivePBKDF2(parameters []byte, password string, size int, budget *kdfBudget) ([]byte, error) {
	var parsed pbkdf2Parameters
	if err := unmarshal(parameters, &parsed); err != nil {
		return nil, err
	}
	prf := prfs[0] // the default (RFC 8018)
	if len(parsed.PRF.Algorithm) != 0 {
		var err error
		if prf, err = findHash(prfs, parsed.PRF.Algorithm); err != nil {
			return nil, err
		}
	}
	if size == 0 {
		// RFC 9579, section 7: shorter keys of a MAC can be guessed, longer ones than the digest are useless.
		if size = parsed.KeyLen; size < 20 || size > 64 {
			return nil, fmt.Errorf("a MAC with a key of %d bytes, expected 20 to 64", size)
		}
	}
	for derived := 0; derived < size; derived += prf.make().Size() {
		if err := budget.spend(parsed.Iterations); err != nil {
			return nil, err
		}
	}
	return pbkdf2.Key(prf.make, password, parsed.Salt, parsed.Iterations, size)
}

// utf16BE encodes a password as Java's stores hash it.
func utf16BE(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, unit)
	}
	return b
}

// unmarshal reads one DER value; trailing bytes are an error.
func unmarshal(der []byte, target any) error {
	trailing, err := asn1.Unmarshal(der, target)
	if err != nil {
		return err
	}
	if len(trailing) != 0 {
		return fmt.Errorf("%d bytes after a value", len(trailing))
	}
	return nil
}
