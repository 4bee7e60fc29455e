package config

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// An empty or blank value of the environment or of the command line never switches off a protection that a file sets.
func TestEmptyValueSwitchesNoProtectionOff(t *testing.T) {
	for name, value := range map[string]string{
		"rest.basic.auth.file":                        "/etc/culvert/users",
		"rest.allowed.hosts":                          "culvert.example",
		"rest.read.only":                              "true",
		"rest.config.masked":                          "true",
		"console.records":                             "off",
		"response.http.headers.config":                "set X-Frame-Options: DENY",
		"connector.client.config.override.policy":     "None",
		"config.storage.secrets":                      "refuse",
		"config.providers":                            "file",
		"config.providers.file.param.allowed.paths":   "/etc/secrets",
		"security.protocol":                           "SSL",
		"ssl.enabled.protocols":                       "TLSv1.3",
		"ssl.cipher.suites":                           "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"ssl.truststore.location":                     "/etc/trust.pem",
		"ssl.endpoint.identification.algorithm":       "https",
		"admin.ssl.endpoint.identification.algorithm": "https",
		"listeners.https.ssl.client.auth":             "required",
		"listeners.https.ssl.truststore.location":     "/etc/clients.pem",
		"tracing.otlp.certificate":                    "/etc/collector.pem",
		"value.converter.schema.registry.ssl.endpoint.identification.algorithm": "https",
		"key.converter.schema.registry.ssl.truststore.location":                 "/etc/registry.pem",
	} {
		file := filepath.Join(t.TempDir(), "w.properties")
		class := "config.providers.file.class=" + providerClasses + "FileConfigProvider"
		write(t, file, "bootstrap.servers=a:1\n"+class+"\n"+name+"="+value+"\n")
		for _, blank := range []string{"", " \t "} {
			flags := map[string]string{name: blank}
			w, problems, err := LoadWorker(file, nil, flags)
			require.NoError(t, err)
			assert.True(t, hasError(problems, name),
				"%s=%q on the command line: expected an error, found %v and the value %q", name, blank, problems,
				w.Text(name))
			_, problems, err = LoadWorker(file, nil, map[string]string{name: value})
			require.NoError(t, err)
			require.NoError(t, problems.Err())
		}
	}
}

// An empty value for one kind of Kafka clients does not switch off what the file sets for all kinds, nor does a
// reference without a value. Settings that a file leaves empty, or does not set, may be empty.
func TestEmptyValueOfOneClientAndOfReference(t *testing.T) {
	t.Setenv("REST_USERS", " ")
	const (
		setting         = "ssl.endpoint.identification.algorithm"
		producerSetting = "producer." + setting
		variable        = "CULVERT_PRODUCER_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM="
	)
	for _, c := range []struct {
		name    string
		file    string
		environ []string
		want    string
	}{
		{name: "a kind of clients", file: setting + "=https", environ: []string{variable},
			want: "environment CULVERT_PRODUCER_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: " + producerSetting +
				": is empty, which would switch off the protection that w.properties:2 sets (" + setting +
				"): expected a value. To switch it off, change that place"},
		{name: "a reference", file: "rest.basic.auth.file=${env:REST_USERS}",
			want: "w.properties:2: rest.basic.auth.file: is empty, which would switch off the protection that " +
				"w.properties:2 sets (rest.basic.auth.file): expected a value. To switch it off, change that place"},
		{name: "the file again", file: "rest.basic.auth.file=/users\nrest.basic.auth.file=",
			want: "w.properties:3: rest.basic.auth.file: is empty, which would switch off the protection that line 2 " +
				"sets: expected one of the two lines"},
		{name: "the file again and again",
			file: "rest.basic.auth.file=\nrest.basic.auth.file=/users\nrest.basic.auth.file=",
			want: "w.properties:3: rest.basic.auth.file: warning: set again, first in line 2: the last one counts\n" +
				"w.properties:4: rest.basic.auth.file: is empty, which would switch off the protection that line 3 " +
				"sets: expected one of the two lines"},
		{name: "a reference to nothing", file: "rest.basic.auth.file=${env:REST_NOBODY}",
			want: "w.properties:2: rest.basic.auth.file: ${env:REST_NOBODY}: not found: the environment of this " +
				"program has no such variable"},
		{name: "the file itself", file: setting + "=https\n" + producerSetting + "="},
		{name: "nothing in the file", file: "rest.basic.auth.file=",
			environ: []string{variable, "CULVERT_REST_BASIC_AUTH_FILE="}},
		{name: "a key without a password",
			file: "ssl.key.password=${env:REST_USERS}\nssl.keystore.password=${env:REST_USERS}\n" +
				"ssl.truststore.password=${env:REST_USERS}\nlisteners.https.ssl.key.password=${env:REST_USERS}"},
		{name: "a password in the environment", file: "ssl.key.password=x",
			environ: []string{"CULVERT_SSL_KEY_PASSWORD="},
			want: "environment CULVERT_SSL_KEY_PASSWORD: ssl.key.password: warning: is empty: set a password or " +
				"remove the line"},
		{name: "a Java class", file: "sasl.login.callback.handler.class=x",
			environ: []string{"CULVERT_SASL_LOGIN_CALLBACK_HANDLER_CLASS="}},
		{name: "no protection", file: "client.id=a", environ: []string{"CULVERT_CLIENT_ID=", "CULVERT_LISTENERS="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, readProblems := Read("w.properties", []byte("bootstrap.servers=k:9092\n"+c.file+"\n"))
			_, problems := NewWorker("w.properties", entries, c.environ, nil)
			expectLines(t, c.name, c.want, append(readProblems, problems...))
		})
	}
}

// Variables that Kubernetes sets for a service named culvert-rest change no setting and stop no worker. Similar
// variables are settings, and wrong values of settings stay errors.
func TestServiceLinksOfKubernetesAreIgnored(t *testing.T) {
	links := []string{"CULVERT_REST_SERVICE_HOST=10.0.0.11", "CULVERT_REST_SERVICE_PORT=8083",
		"CULVERT_REST_SERVICE_PORT_HTTP=8083", "CULVERT_REST_PORT=tcp://10.0.0.11:8083",
		"CULVERT_REST_PORT_8083_TCP=tcp://10.0.0.11:8083", "CULVERT_REST_ADVERTISED_PORT=tcp://10.0.0.12:8083",
		"CULVERT_PORT=tcp://10.0.0.13:8083"}
	others := []string{"CULVERT_REST_PORT_8083_TCP_PROTO=tcp", "CULVERT_REST_PORT_8083_TCP_PORT=8083",
		"CULVERT_REST_PORT_8083_TCP_ADDR=10.0.0.11", "CULVERT_CLIENT_ID=me"}
	w, problems := NewWorker("", nil, slices.Concat(links, others), nil)
	expectLines(t, "links", "environment: warning: CULVERT_PORT, CULVERT_REST_ADVERTISED_PORT, CULVERT_REST_PORT, "+
		"CULVERT_REST_PORT_8083_TCP, CULVERT_REST_SERVICE_HOST, CULVERT_REST_SERVICE_PORT, "+
		"CULVERT_REST_SERVICE_PORT_HTTP: ignored, because Kubernetes sets such variables for a service. "+
		"enableServiceLinks: false in the pod's spec removes them", problems)
	plain, _ := NewWorker("", nil, others, nil)
	assert.Equal(t, plain.All(), w.All(), "no setting of these variables")
	for _, variable := range []string{"CULVERT_REST_PORT=tcp", "CULVERT_REST_PORT=http://10.0.0.11:8083",
		"CULVERT_REST_PORT=10.0.0.11:8083", "CULVERT_REST_ADVERTISED_PORT=tcp:/x"} {
		_, problems := NewWorker("", nil, []string{variable}, nil)
		assert.True(t, problems.Err() != nil, "%s: expected an error, found %v", variable, problems)
	}
	w, problems = NewWorker("", nil, []string{"CULVERT_REST_ADVERTISED_PORT=8084"}, nil)
	value := w.Text("rest.advertised.port")
	assert.True(t, problems.Err() == nil && value == "8084", "expected the port 8084, found %q and %v", value, problems)
}

func hasError(problems Problems, name string) bool {
	for _, p := range problems {
		if p.Setting == name && !p.Warning {
			return true
		}
	}
	return false
}
