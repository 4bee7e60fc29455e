package btp_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/transport/btp"
)

// No way of printing reveals a secret.
func TestSecretsAreNotPrinted(t *testing.T) {
	s, err := btp.ParseVCAP(`{"connectivity":[{"name":"c","credentials":{"clientid":"me","clientsecret":"hush","url":"https://t","onpremise_proxy_host":"h","connectivity_service":{"url":"https://c"}}}],
		"destination":[{"name":"d","credentials":{"clientid":"me","clientsecret":"hush","url":"https://t","uri":"https://d"}}]}`)
	require.NoError(t, err)
	target := btp.Destination{
		Name:     "S4",
		Endpoint: btp.Endpoint{URL: "https://s4"},
		Password: "hush",
		Token:    &btp.DeliveredToken{Value: "hush"},
		Keystore: &btp.Store{Password: "hush"},
	}
	for _, v := range []any{s, *s.Connectivity, *s.Connectivity.API, *s.Destination, s.Destination,
		s.Connectivity.Credentials, target, &target} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		logger.Info("careless", "value", v)
		for _, text := range []string{fmt.Sprint(v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), log.String()} {
			assert.True(t, !strings.Contains(text, "hush"), "%T: expected no secret, found %s", v, text)
		}
	}
}
