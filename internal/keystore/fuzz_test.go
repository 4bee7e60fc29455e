package keystore

import (
	"bytes"
	"context"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// maxGrowth bounds the memory for reading n hostile bytes.
func maxGrowth(n int) uint64 { return uint64(200*n) + 8<<20 }

// checkBounded fails if f uses more memory than n bytes justify, or takes too long.
func checkBounded(t *testing.T, n int, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	runtime.ReadMemStats(&after)
	assert.AtMost(t, maxGrowth(n), after.TotalAlloc-before.TotalAlloc, "allocated bytes for a file of", n)
	assert.AtMost(t, 5*time.Minute, time.Since(start), "min for a file of", n, "bytes")
}

// checkReading reads a store and all its entries. Errors must be of type *Error.
func checkReading(t *testing.T, read func(*Store) error) {
	t.Helper()
	s := &Store{location: Location{Password: "changeit"}, description: "the file", budget: smallBudget()}
	err := read(s)
	if err == nil {
		if _, err = s.Certificate(); err == nil {
			_, err = s.Roots()
		}
	}
	var f *Error
	assert.True(t, err == nil || errors.As(err, &f), "expected an *Error, found %T: %v", err, err)
}

// smallBudget has a low limit, so that a fuzzer does not spend its time on hashing.
func smallBudget() *kdfBudget { return &kdfBudget{ctx: context.Background(), remaining: 30_000} }

// addSamples adds the sample stores with an ending.
func addSamples(f *testing.F, endings ...string) {
	for _, folder := range []string{samples, filepath.Join(samples, "more")} {
		for _, ending := range endings {
			files, err := filepath.Glob(filepath.Join(folder, "*"+ending))
			require.NoError(f, err)
			for _, file := range files {
				content, err := os.ReadFile(file)
				require.NoError(f, err)
				f.Add(content)
			}
		}
	}
}

// FuzzJKS adds a valid digest, so that the entries are read.
func FuzzJKS(f *testing.F) {
	addSamples(f, ".jks", ".jceks")
	f.Fuzz(func(t *testing.T, content []byte) {
		checkReading(t, func(s *Store) error { return s.readJKS(content) })
		if len(content) > 20 {
			signed := content[:len(content)-20]
			checkReading(t, func(s *Store) error {
				return s.readJKS(append(signed[:len(signed):len(signed)], jksDigest(signed, "changeit")...))
			})
		}
	})
}

// The end of an object is found or rejected in bounded time.
func FuzzJavaObject(f *testing.F) {
	for _, file := range []string{"secret.jceks", "more/several.jceks"} {
		content, err := os.ReadFile(sample(file))
		require.NoError(f, err)
		f.Add(content[bytes.Index(content, []byte("\xac\xed\x00\x05")):])
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		r := &javaReader{remaining: content}
		o := &javaObject{javaReader: r}
		r.u32("header")
		if r.err == nil {
			o.skipValue()
		}
		assert.True(t, bytes.HasSuffix(content, r.remaining) && (o.depth == 0 || r.err != nil) &&
			o.objects <= maxJavaObjects+maxJavaDepth && len(o.handles) <= len(content),
			"%d bytes left of %d, depth %d, %d objects, %d handles, %v", len(r.remaining), len(content), o.depth,
			o.objects, len(o.handles), r.err)
	})
}

func FuzzPKCS12(f *testing.F) {
	addSamples(f, ".p12", ".pkcs12")
	f.Fuzz(func(t *testing.T, content []byte) {
		checkReading(t, func(s *Store) error { return s.readPKCS12(content) })
	})
}

// FuzzSafes starts after the MAC.
func FuzzSafes(f *testing.F) {
	for _, file := range []string{"client.p12", "more/several.p12", "more/openssl-legacy.p12", "more/openssl-clear.p12",
		"more/trust-openssl.p12", "secret.p12"} {
		content, err := os.ReadFile(sample(file))
		require.NoError(f, err)
		var p pfx
		var signed []byte
		_, err = asn1.Unmarshal(content, &p)
		require.NoError(f, err)
		require.NoError(f, unmarshal(p.AuthSafe.Content.Bytes, &signed))
		f.Add(signed)
		budget := newKDFBudget(context.Background())
		var safes []contentInfo
		require.NoError(f, unmarshal(signed, &safes))
		for _, safe := range safes {
			plain, err := openSafe(safe, "changeit", budget)
			require.NoError(f, err)
			f.Add(plain)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		checkReading(t, func(s *Store) error {
			bags, err := openSafes(der, "changeit", s.budget)
			if err != nil {
				if bags, err = appendBags(nil, der); err != nil {
					return s.decryptError(err)
				}
			}
			s.addBags(bags)
			return nil
		})
	})
}

func FuzzPEM(f *testing.F) {
	addSamples(f, ".pem")
	f.Fuzz(func(t *testing.T, content []byte) {
		checkReading(t, func(s *Store) error { return s.readPEM(content, FieldLocation) })
	})
}

func FuzzDecrypt(f *testing.F) {
	files, err := filepath.Glob(sample("more/sealed-*.pem"))
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		var info struct {
			Algorithm asn1.RawValue
			Data      []byte
		}
		if block, _ := pem.Decode(text); unmarshal(block.Bytes, &info) == nil {
			f.Add(info.Algorithm.FullBytes, info.Data)
		}
	}
	f.Fuzz(func(t *testing.T, algorithm, data []byte) {
		var a pkix.AlgorithmIdentifier
		if err := unmarshal(algorithm, &a); err != nil {
			return
		}
		plain, err := decrypt(a, data, "changeit", smallBudget())
		assert.True(t, err != nil || len(plain) < len(data),
			"expected fewer than %d decrypted bytes, found %d", len(data), len(plain))
	})
}

func FuzzDKS(f *testing.F) {
	for _, text := range []string{
		`domain sample { keystore app keystoreType="PKCS12" keystoreURI="file:///${user.dir}/client.p12" ; };`,
		`/* c */ domain a x="1" { keystore k keystorePasswordEnv='E' entryNameSeparator="\101\n" keystoreProviderName="SUN"; }; // end`,
		"domain d {", `domain d { keystore k keystoreURI="${`, "/*", "//", "\\", `"\`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		domains, err := parseDKS(text)
		assert.True(t, err != nil || len(domains) != 0, "expected a domain or an error, found neither")
		for _, d := range domains {
			assert.True(t, d.name != "" && len(d.stores) != 0 && len(d.stores) <= maxDKSStores,
				"expected a name and 1 to %d stores, found %q with %d", maxDKSStores, d.name, len(d.stores))
		}
	})
}

// Any content is classified, and only as a kind that can be read.
func FuzzFound(f *testing.F) {
	addSamples(f, ".jks", ".p12", ".pem", ".dks")
	f.Add([]byte("library = /x.so\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, what := detectKind(content)
		assert.True(t, (k == "") != (what == ""), "expected either a kind or a description, found %q and %q", k, what)
		parseSunPKCS11(content)
	})
}

// Lengths in files are not trusted.
func TestHostileLengths(t *testing.T) {
	be := binary.BigEndian
	header := func(magic, count uint32) []byte {
		return be.AppendUint32(be.AppendUint32(be.AppendUint32(nil, magic), 2), count)
	}
	entry := func(b []byte, tag uint32) []byte { return append(be.AppendUint32(b, tag), make([]byte, 2+8)...) }
	secret := func(object string) []byte {
		return append(entry(header(0xcececece, 1), 3), "\xac\xed\x00\x05"+object...)
	}
	class := func(name, flags, fields string) string {
		return "\x72" + string([]byte{0, byte(len(name))}) + name + "12345678" + flags + fields
	}
	cases := map[string][]byte{
		"entries":          header(0xfeedfeed, 0xffffffff),
		"key":              be.AppendUint32(entry(header(0xfeedfeed, 1), 1), 0xffffffff),
		"certificates":     be.AppendUint32(be.AppendUint32(entry(header(0xfeedfeed, 1), 1), 0), 0xffffffff),
		"alias":            append(be.AppendUint32(header(0xfeedfeed, 1), 1), 0xff, 0xff),
		"array":            secret("\x75" + class("[B", "\x02", "\x00\x00") + "\x78\x70\xff\xff\xff\xff"),
		"array of doubles": secret("\x75" + class("[D", "\x02", "\x00\x00") + "\x78\x70\x7f\xff\xff\xff"),
		"array of objects": secret("\x75" + class("[L", "\x02", "\x00\x00") + "\x78\x70\xff\xff\xff\xff" +
			strings.Repeat("\x70", 100)),
		"string":              secret("\x7c\x00\x00\x00\x00\xff\xff\xff\xff"),
		"long string":         secret("\x7c\xff\xff\xff\xff\xff\xff\xff\xff"),
		"block":               secret("\x7a\xff\xff\xff\xff"),
		"interfaces":          secret("\x7d\xff\xff\xff\xff"),
		"own ancestor":        secret("\x73" + class("x", "\x02", "\x00\x00") + "\x78\x71\x00\x7e\x00\x00"),
		"objects in objects":  secret(strings.Repeat("\x73\x72\x00\x01x12345678\x02\x00\x01[\x00\x01y", 10000)),
		"nulls without end":   secret("\x73" + class("x", "\x03", "\x00\x00") + strings.Repeat("\x70", 1<<20)),
		"enums in enums":      secret(strings.Repeat("\x7e\x70", 1<<16)),
		"reference to itself": secret("\x73\x71\x00\x7e\x00\x00"),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			checkBounded(t, len(content), func() {
				s := &Store{
					description: "the file",
					location:    Location{Password: "x"},
					budget:      newKDFBudget(t.Context()),
				}
				expectFault(t, s.readJKS(content), "location", "cannot be read")
			})
		})
	}
}

// saltedParameters are the parameters of PBKDF2 and of PKCS12's key derivation.
type saltedParameters struct {
	Salt       []byte
	Iterations int
}

// Excessive key derivations are rejected before they start.
func TestExcessiveKeyDerivation(t *testing.T) {
	marshal := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		require.NoError(t, err)
		return asn1.RawValue{FullBytes: der}
	}
	type scryptCost struct {
		Salt     []byte
		Cost     int
		Block    int
		Parallel int
	}
	pbes2With := func(kdf asn1.ObjectIdentifier, parameters any) pkix.AlgorithmIdentifier {
		aes := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42},
			Parameters: marshal(make([]byte, 16))}
		return pkix.AlgorithmIdentifier{Algorithm: oidPBES2,
			Parameters: marshal(struct{ KDF, Scheme pkix.AlgorithmIdentifier }{
				pkix.AlgorithmIdentifier{Algorithm: kdf, Parameters: marshal(parameters)}, aes})}
	}
	oidTripleDES := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 1, 3}
	cases := map[string]pkix.AlgorithmIdentifier{
		"PBKDF2":             pbes2With(oidPBKDF2, saltedParameters{[]byte("salt"), 1 << 40}),
		"PBKDF2, negative":   pbes2With(oidPBKDF2, saltedParameters{[]byte("salt"), -1}),
		"PBKDF2, none":       pbes2With(oidPBKDF2, saltedParameters{[]byte("salt"), 0}),
		"PKCS12":             {Algorithm: oidTripleDES, Parameters: marshal(saltedParameters{[]byte("salt"), 1 << 31})},
		"PKCS12, none":       {Algorithm: oidTripleDES, Parameters: marshal(saltedParameters{[]byte("salt"), 0})},
		"PKCS12, salt":       {Algorithm: oidTripleDES, Parameters: marshal(saltedParameters{make([]byte, 1<<20), 1})},
		"scrypt, cost":       pbes2With(oidScrypt, scryptCost{[]byte("salt"), 1 << 40, 8, 1}),
		"scrypt, block":      pbes2With(oidScrypt, scryptCost{[]byte("salt"), 1 << 14, 1 << 40, 1}),
		"scrypt, parallel":   pbes2With(oidScrypt, scryptCost{[]byte("salt"), 1 << 14, 8, 1 << 40}),
		"scrypt, none":       pbes2With(oidScrypt, scryptCost{[]byte("salt"), 0, 0, 0}),
		"scrypt, no power 2": pbes2With(oidScrypt, scryptCost{[]byte("salt"), 1000, 8, 1}),
	}
	for name, algorithm := range cases {
		checkBounded(t, 0, func() {
			_, err := decrypt(algorithm, make([]byte, 16), "x", newKDFBudget(t.Context()))
			assert.True(t, err != nil && !errors.Is(err, errPassword),
				"%s: expected an error other than a wrong password, found %v", name, err)
		})
	}
	budget := newKDFBudget(t.Context())
	expensive := pbes2With(oidPBKDF2, saltedParameters{[]byte("salt"), maxTotalIterations / 10})
	var err error
	for range 11 {
		budget.remaining -= maxTotalIterations / 10 // the cost of a derivation, without the time
		if budget.remaining <= 0 {
			_, err = decrypt(expensive, make([]byte, 16), "x", budget)
		}
	}
	assert.True(t, err != nil && strings.Contains(err.Error(), "in one file"),
		"expected the file's budget to be used up, found %v", err)
}

// Files are read up to the limit only.
func TestHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge.jks")
	replaceFile(t, path, []byte("\xfe\xed\xfe\xed"))
	require.NoError(t, os.Truncate(path, 1<<30))
	_, err := Open(Location{Path: path, Password: "x"})
	expectFault(t, err, "location", "more than 16 MiB")
}

// Stores with a changed byte or a truncated end open or are rejected in bounded time, without a panic, even with a
// valid digest.
func TestDamagedStores(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 7))
	for _, file := range []string{"client-ec.p12", "trust.p12", "secret.p12", "more/several.p12", "more/several.jks",
		"more/trust-greek.jceks", "secret.jceks", "more/client.pem"} {
		content, err := os.ReadFile(sample(file))
		require.NoError(t, err)
		checkBounded(t, 100*len(content), func() {
			for range 50 {
				damaged := bytes.Clone(content)
				if random.IntN(3) == 0 {
					damaged = damaged[:random.IntN(len(damaged))]
				} else {
					damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
				}
				detected, _ := detectKind(content)
				if (detected == kindJKS || detected == kindJCEKS) && len(damaged) > 20 {
					signed := damaged[: len(damaged)-20 : len(damaged)-20]
					damaged = append(signed, jksDigest(signed, "changeit")...)
				}
				checkReading(t, func(s *Store) error { return s.readContent("x", "", damaged, "") })
			}
		})
	}
}
