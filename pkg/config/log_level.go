package config

import (
	"log/slog"
	"strings"
)

// LogLevel is the lowest level that is logged.
type LogLevel struct{ level *slog.Level }

// Level returns the level, INFO if none was set.
func (l LogLevel) Level() slog.Level {
	if l.level == nil {
		return slog.LevelInfo
	}
	return *l.level
}

// logLevels are the names of slog, the Python exporter and Lambda.
var logLevels = map[string]slog.Level{
	"TRACE": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "WARNING": slog.LevelWarn,
	"ERROR": slog.LevelError, "CRITICAL": slog.LevelError, "FATAL": slog.LevelError,
}

// UnmarshalText reads the name of a level in either case.
func (l *LogLevel) UnmarshalText(text []byte) error {
	level, ok := logLevels[strings.ToUpper(string(text))]
	if ok {
		l.level = &level
	}
	return must(ok)
}
