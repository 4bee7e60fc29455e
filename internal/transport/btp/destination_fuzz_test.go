package btp

import (
	"errors"
	"testing"
	"time"
)

// Any response is parsed to a destination with an address, or to a Failure.
func FuzzTarget(f *testing.F) {
	f.Add(
		[]byte(
			`{"destinationConfiguration":{"Type":"HTTP","URL":"https://s4.example.com:44300/sap/?a=1","Authentication":"BasicAuthentication","User":"u","URL.headers.a":"b"}}`))
	f.Add(
		[]byte(
			`{"destinationConfiguration":{"Type":"TCP","Address":"tcp://[::1]:9092","ProxyType":"OnPremise"},"authTokens":null}`))
	f.Add(
		[]byte(
			`{"destinationConfiguration":{"URL":"s4","Authentication":"OAuth2ClientCredentials"},"authTokens":[{"type":"bearer","value":"t","expires_in":1e400}]}`))
	f.Add(
		[]byte(
			`{"destinationConfiguration":{"URL":"http://s4","Authentication":"ClientCertificateAuthentication"},"certificates":[{"Name":"a.p12","Content":"AQID"}]}`))
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, body []byte) {
		target, err := parseDestination("S4", body, now)
		var failure *Failure
		switch {
		case err == nil && (target.Host == "" || target.Scheme == "" || target.Port < 1 || target.Port > 65535 ||
			target.Authentication == "" || target.ProxyType == ""):
			t.Errorf("expected a valid address, found %#v", target)
		case err == nil && target.Token != nil && !target.Token.Expires.IsZero() && (target.Token.Expires.Before(now) ||
			target.Token.Expires.After(now.Add(maxLifetime))):
			t.Errorf("expected a valid expiry of the token, found %v", target.Token.Expires)
		case err != nil && !errors.As(err, &failure):
			t.Errorf("expected a *Failure, found %v", err)
		}
	})
}
