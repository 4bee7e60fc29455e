package components

import (
	"context"
	"crypto/tls"
	"log/slog"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Settings that name converters. The converter's own settings follow after a dot.
const KeyConverter, ValueConverter, HeaderConverter = "key.converter", "value.converter", "header.converter"

// ConverterSettings lists the settings that name converters.
var ConverterSettings = []string{KeyConverter, ValueConverter, HeaderConverter}

// ConverterOf returns the declaration of a converter class that one of the settings names.
func ConverterOf(which, class string) (convert.Declaration, error) {
	if which == HeaderConverter {
		return convert.FindHeaders(class)
	}
	return convert.Find(class, which == KeyConverter)
}

// OpenRegistry opens the client of a schema registry. ctx bounds the reading of its key stores.
func OpenRegistry(ctx context.Context, s registry.Settings, log *slog.Logger) (*registry.Client, error) {
	var secure func(host string) *tls.Config
	if len(s.Security) > 0 {
		var err error
		if secure, err = security.ClientTLS(ctx, s.Security, "schema.registry.", log); err != nil {
			return nil, err
		}
	}
	return registry.Open(s, secure, log)
}
