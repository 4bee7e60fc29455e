package keystore

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
)

// looked is a context that ends when it was looked at so often.
type looked struct {
	context.Context
	left, count int
}

func (l *looked) Err() error {
	if l.count++; l.count >= l.left {
		return context.Canceled
	}
	return nil
}

// A derivation of millions of iterations ends when nobody waits for it any more, whichever it is.
func TestDerivationsEndWithTheirContext(t *testing.T) {
	parameters, err := asn1.Marshal(salted{[]byte("salt"), maxIterations})
	require.NoError(t, err)
	for name, derive := range map[string]func(w *work) error{
		"PBKDF2": func(w *work) error {
			_, err := deriveKey(pkix.AlgorithmIdentifier{Algorithm: oidPBKDF2,
				Parameters: asn1.RawValue{FullBytes: parameters}}, "x", 32, w)
			return err
		},
		"PKCS12": func(w *work) error {
			_, err := pkcs12KDF(digests[0], []byte("salt"), "x", maxIterations, 1, 24, w)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := &looked{Context: context.Background(), left: 3}
			if err := derive(newWork(ctx)); !errors.Is(err, context.Canceled) || ctx.count > ctx.left+1 {
				t.Errorf("expected an end at the third look, found %v after %d", err, ctx.count)
			}
		})
	}
}

// Keys are those of Go's own PBKDF2.
func TestPBKDF2(t *testing.T) {
	for _, prf := range prfs {
		for _, c := range []struct{ iterations, size int }{{1, 1}, {2, 20}, {1000, 33}, {4097, 70}} {
			want, err := pbkdf2.Key(prf.make, "password", []byte("salt"), c.iterations, c.size)
			require.NoError(t, err)
			got, err := derived(prf.make, "password", []byte("salt"), c.iterations, c.size, newWork(t.Context()))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %d iterations, %d bytes: expected %x, found %x, %v", prf.oid, c.iterations, c.size, want,
					got, err)
			}
		}
	}
}
