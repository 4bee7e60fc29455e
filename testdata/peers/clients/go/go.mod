module clients

go 1.26.0

require github.com/go-kafka/connect v0.9.0
