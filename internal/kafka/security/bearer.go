package security

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/internal/keystore"
	"github.com/culvert-project/culvert/internal/transport/btp"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	oauthHandlers     = "org.apache.kafka.common.security.oauthbearer."
	tokenHandler      = oauthHandlers + "OAuthBearerLoginCallbackHandler"
	tokenHandlerOf3   = oauthHandlers + "secured.OAuthBearerLoginCallbackHandler" // up to Kafka 3
	unsecuredHandler  = oauthHandlers + "internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler"
	clientCredentials = oauthHandlers + "ClientCredentialsJwtRetriever"
	defaultRetriever  = oauthHandlers + "DefaultJwtRetriever"
	fileRetriever     = oauthHandlers + "FileJwtRetriever"
)

// renewingMechanism can replace a token that a broker rejected.
type renewingMechanism struct {
	sasl.Mechanism
	*tokenService
}

type tokenSource interface {
	// check returns the current login module if it is valid for the source.
	check() (clientconfig.LoginModule, error)
	token(context.Context, clientconfig.LoginModule) (string, error)
}

// tokenSource returns the source of tokens: a token service, a file, or the login module itself.
func (s settings) tokenSource() (tokenSource, error) {
	const endpoint = "sasl.oauthbearer.token.endpoint.url"
	const handler = "sasl.login.callback.handler.class"
	const retriever = "sasl.oauthbearer.jwt.retriever.class"
	switch s.text(handler) {
	case unsecuredHandler:
		return unsecuredTokens{s}, nil
	case "":
		if !s.has(endpoint) {
			return unsecuredTokens{s}, nil
		}
	case tokenHandler, tokenHandlerOf3: // the retriever decides
	default:
		return nil, s.problem(handler, "not built: expected %s, found %q", tokenHandler, s.text(handler))
	}
	switch s.text(retriever) {
	case "", defaultRetriever, clientCredentials, fileRetriever: // the URL's scheme decides
	default:
		return nil, s.problem(retriever, "not built: expected %s or %s, found %q", clientCredentials, fileRetriever,
			s.text(retriever))
	}
	u, err := url.Parse(s.text(endpoint))
	switch {
	case err == nil && u.Scheme == "file" && u.Path != "" && s.text(retriever) != clientCredentials:
		return fileTokens{s, u.Path}, nil
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || s.text(retriever) == fileRetriever:
		return nil, s.problem(endpoint, "expected the URL of a token service, https://HOST/…, or of a file "+
			"with a token, file:///…")
	}
	return &tokenService{settings: s}, nil
}

var extensionName = regexp.MustCompile(`^[A-Za-z]+$`)

func extensions(m clientconfig.LoginModule) map[string]string {
	values := map[string]string{}
	for option, value := range m.Options {
		if name, ok := strings.CutPrefix(option, "extension_"); ok {
			values[name] = value
		}
	}
	return values
}

// bearerModule returns the current login module if its options and extensions are valid.
func (s settings) bearerModule(options *setting.Table) (clientconfig.LoginModule, error) {
	module, err := s.jaas(oauthModule)
	if err != nil {
		return module, err
	}
	if err := s.checkOptions(module, options); err != nil {
		return module, err
	}
	for name, value := range extensions(module) {
		if !extensionName.MatchString(name) || name == "auth" || strings.ContainsAny(value, "\x00\x01") {
			return module, s.credentialError("sasl.jaas.config",
				"extension_%s: expected a name of letters other than auth, and a value without control characters",
				name)
		}
	}
	return module, nil
}

// fileTokens reads the token from a file before each logon.
type fileTokens struct {
	settings
	path string
}

func (f fileTokens) check() (clientconfig.LoginModule, error) { return f.bearerModule(oauthOptions) }

func (f fileTokens) token(context.Context, clientconfig.LoginModule) (string, error) {
	content, err := keystore.ReadFile(f.path)
	if err != nil {
		return "", f.credentialError("sasl.oauthbearer.token.endpoint.url", "%v", err)
	}
	token := strings.TrimSpace(string(content))
	if token == "" || strings.ContainsAny(token, " \t\r\n\x00\x01") {
		return "", f.credentialError("sasl.oauthbearer.token.endpoint.url",
			"expected one token in %s, found something else (not shown)", f.path)
	}
	return token, nil
}

// tokenService requests tokens by client credentials.
type tokenService struct {
	settings
	mu            sync.Mutex
	tokenClient   oauthClient // for which tokens was created
	tokens        *btp.Tokens
	lastToken     string // of the last logon
	rejectedToken string // by a broker
}

// LogonRejected records that a broker rejected the token; the next logon uses another one.
func (t *tokenService) LogonRejected() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rejectedToken = t.lastToken
}

type oauthClient struct{ id, secret, scope string }

var (
	oauthOptions = setting.NewTable(option("clientId", wit.KindString), option("clientSecret", wit.KindPassword),
		option("scope", wit.KindString),
		option("ssl.{name}", wit.KindString), option("extension_{name}", wit.KindString))
	unsecuredOptions = setting.NewTable(option(unsecured+"StringClaim_{name}", wit.KindString),
		option(unsecured+"NumberClaim_{name}", wit.KindDouble), option(unsecured+"ListClaim_{name}", wit.KindString),
		option(unsecured+"LifetimeSeconds", wit.KindDouble), option(unsecured+"PrincipalClaimName", wit.KindString),
		option(unsecured+"ScopeClaimName", wit.KindString), option("extension_{name}", wit.KindString))
)

func (t *tokenService) check() (clientconfig.LoginModule, error) {
	m, err := t.bearerModule(oauthOptions)
	if err != nil {
		return m, err
	}
	_, err = t.tokensFor(m)
	return m, err
}

// client returns the credentials. It prefers the properties of Kafka 4.1 to the login module's options.
func (t *tokenService) client(m clientconfig.LoginModule) oauthClient {
	return oauthClient{
		id:     cmp.Or(t.current("sasl.oauthbearer.client.credentials.client.id"), m.Options["clientId"]),
		secret: cmp.Or(t.current("sasl.oauthbearer.client.credentials.client.secret"), m.Options["clientSecret"]),
		scope:  cmp.Or(t.text("sasl.oauthbearer.scope"), m.Options["scope"]),
	}
}

// tokensFor returns the tokens for the current credentials. It replaces the former ones after a change.
func (t *tokenService) tokensFor(m clientconfig.LoginModule) (*btp.Tokens, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	client := t.client(m)
	if t.tokens != nil && t.tokenClient == client {
		return t.tokens, nil
	}
	trust, err := t.tlsConfig(m)
	if err != nil {
		return nil, err
	}
	credentials := btp.Credentials{
		TokenURL: t.text("sasl.oauthbearer.token.endpoint.url"),
		ClientID: client.id,
		Secret:   client.secret,
	}
	tokens, err := btp.NewTokens(credentials, btp.TokenOptions{
		Verbatim:       true,
		InHeader:       true,
		Scope:          client.scope,
		TLS:            trust,
		Name:           t.tokenSetting,
		Logger:         t.live.logger(),
		ConnectTimeout: t.milliseconds("sasl.login.connect.timeout.ms"),
		ReadTimeout:    t.milliseconds("sasl.login.read.timeout.ms"),
		RetryPeriod:    10 * time.Second,
	})
	if err != nil {
		return nil, t.credentialError("sasl.jaas.config", "%v", err)
	}
	t.tokenClient = client
	t.tokens = tokens
	return tokens, nil
}

// tokenSetting maps package btp's names of fields to the user's settings.
func (t *tokenService) tokenSetting(field string) string {
	switch field {
	case "token-url":
		return t.fullName("sasl.oauthbearer.token.endpoint.url")
	case "client-id":
		return "clientId"
	case "client-secret":
		return "clientSecret"
	}
	return field
}

// tlsConfig returns the configuration of the module's own ssl.* options; nil means the system's roots.
func (t *tokenService) tlsConfig(m clientconfig.LoginModule) (*tls.Config, error) {
	options := map[string]string{}
	for option, value := range m.Options {
		if strings.HasPrefix(option, "ssl.") {
			options[option] = value
		}
	}
	if len(options) == 0 {
		return nil, nil
	}
	prefix := t.fullName("sasl.jaas.config") + ": "
	config, err := serviceTLS(t.ctx, options, prefix, t.live, func(option, problem string) error {
		return t.credentialError("sasl.jaas.config", "option %s of the login module: %s", option, problem)
	})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(t.text("sasl.oauthbearer.token.endpoint.url"))
	if err != nil {
		return nil, err
	}
	return keystore.ForHost(config, u.Hostname()), nil
}

// token returns a token other than the one that a broker has rejected, if there is one.
func (t *tokenService) token(ctx context.Context, m clientconfig.LoginModule) (string, error) {
	tokens, err := t.tokensFor(m)
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	rejectedToken := t.rejectedToken
	t.mu.Unlock()
	token, err := tokens.Token(ctx, rejectedToken)
	if err != nil && rejectedToken != "" {
		// There is no other token; the broker may have failed to verify it.
		token, err = tokens.Token(ctx, "")
	}
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastToken = token
	return token, nil
}

// unsecuredTokens are unsigned: the default of Kafka's OAUTHBEARER, for development.
type unsecuredTokens struct{ settings }

const unsecured = "unsecuredLogin" // begins the names of options

func (u unsecuredTokens) check() (clientconfig.LoginModule, error) {
	m, err := u.bearerModule(unsecuredOptions)
	if err != nil {
		return m, err
	}
	_, err = u.token(context.Background(), m)
	return m, err
}

// token returns an unsigned JWT with the claims in the options of the login module.
func (u unsecuredTokens) token(_ context.Context, module clientconfig.LoginModule) (string, error) {
	claims := map[string]any{}
	lifetime := 3600.0 // seconds, Kafka's default
	for option, value := range module.Options {
		kind, name, _ := strings.Cut(strings.TrimPrefix(option, unsecured), "_")
		switch kind {
		case "StringClaim":
			claims[name] = value
		case "NumberClaim", "LifetimeSeconds":
			n, _ := setting.ParseFloat(value)
			if kind == "LifetimeSeconds" {
				lifetime = n
			} else {
				claims[name] = n
			}
		case "ListClaim": // the first character separates the items
			list := []string{}
			if value != "" {
				separator := string([]rune(value)[0])
				list = strings.Split(strings.TrimPrefix(value, separator), separator)
			}
			claims[name] = list
		}
	}
	// The claim that names the user must be set.
	principal := module.Options[unsecured+"PrincipalClaimName"]
	if principal == "" {
		principal = "sub"
	}
	if subject, ok := claims[principal].(string); !ok || subject == "" {
		return "", u.credentialError("sasl.jaas.config",
			`expected %sStringClaim_%s="…", or %s for tokens of a token service; found neither`, unsecured, principal,
			u.fullName("sasl.oauthbearer.token.endpoint.url"))
	}
	issuedAt := float64(time.Now().UnixMilli()) / 1000
	claims["iat"] = issuedAt
	claims["exp"] = issuedAt + lifetime
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode(body) + ".", nil
}
