package resolved

import (
	"context"
	"crypto/tls"
	"log/slog"

	"github.com/culvert-project/culvert/internal/convert"
	"github.com/culvert-project/culvert/internal/convert/registry"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// Settings that name converters. The converter's own settings follow after a dot.
const (
	KeyConverter    = "key.converter"
	ValueConverter  = "value.converter"
	HeaderConverter = "header.converter"
)

// ConverterSettings lists the settings that name converters.
var ConverterSettings = []string{KeyConverter, ValueConverter, HeaderConverter}

// ConverterOf returns the declaration of the converter class that a setting of [ConverterSettings] names.
func ConverterOf(name, class string) (convert.Declaration, error) {
	if name == HeaderConverter {
		return convert.FindHeaders(class)
	}
	return convert.Find(class, name == KeyConverter)
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
