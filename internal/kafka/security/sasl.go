package security

import (
	"maps"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/kafka/clientconfig"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
)

const (
	plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"
	scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"
	oauthModule = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"
)

// credentialError marks unusable credentials: nothing is sent, and retrying is useless.
type credentialError struct{ problem error }

func (e *credentialError) Error() string { return e.problem.Error() }
func (e *credentialError) Unwrap() error { return e.problem }

// Permanent returns true.
func (e *credentialError) Permanent() bool { return true }

func (s settings) credentialError(name, format string, args ...any) error {
	return &credentialError{problem: s.problem(name, format, args...)}
}

// jaas returns the current login module, which must be of a class.
func (s settings) jaas(class string) (clientconfig.LoginModule, error) {
	m, err := clientconfig.ParseLoginModule(s.current("sasl.jaas.config"))
	switch {
	case err != nil:
		return m, s.credentialError("sasl.jaas.config", "%v", err)
	case m.Class != class:
		return m, s.credentialError("sasl.jaas.config", "expected %s for %s %s, found the login module %s", class,
			s.fullName("sasl.mechanism"), s.text("sasl.mechanism"), m.Class)
	}
	return m, nil
}

type saslUser struct {
	name     string
	password string
	isToken  bool // a delegation token
}

// user returns the current user of PLAIN or SCRAM, whose login module is of class.
func (s settings) user(class string) (saslUser, error) {
	module, err := s.jaas(class)
	if err != nil {
		return saslUser{}, err
	}
	for _, name := range []string{"username", "password"} {
		if module.Options[name] == "" {
			return saslUser{}, s.credentialError("sasl.jaas.config", `expected %s="…", found nothing`, name)
		}
	}
	options := plainOptions
	if class == scramModule {
		options = scramOptions
	}
	if err := s.checkOptions(module, options); err != nil {
		return saslUser{}, err
	}
	return saslUser{
		name:     module.Options["username"],
		password: module.Options["password"],
		isToken:  strings.EqualFold(module.Options["tokenauth"], "true"),
	}, nil
}

var (
	plainOptions = setting.NewTable(option("username", wit.KindString), option("password", wit.KindPassword))
	scramOptions = setting.NewTable(option("username", wit.KindString), option("password", wit.KindPassword),
		option("tokenauth", wit.KindBoolean))
)

func option(name string, kind wit.SettingKind) wit.ConfigKey {
	return wit.ConfigKey{Name: name, Kind: kind}
}

// checkOptions rejects unknown options and invalid values without quoting them.
func (s settings) checkOptions(m clientconfig.LoginModule, options *setting.Table) error {
	for _, name := range slices.Sorted(maps.Keys(m.Options)) {
		spec, ok := options.Find(name)
		problem := setting.Unknown(options.Nearest(name))
		if ok {
			problem = setting.Check{Secret: true}.Value(&spec, m.Options[name])
		}
		if problem != "" {
			return s.credentialError("sasl.jaas.config", "option %s of the login module: %s", name, problem)
		}
	}
	return nil
}
