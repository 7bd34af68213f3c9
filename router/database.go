package router

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite" // the database driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// busyTimeout bounds how long a statement waits for another connection's or process's write to end.
const busyTimeout = 20 * time.Second

// database is the one file of state, opened twice. Both run in write-ahead mode, where readers never wait.
type database struct {
	// state holds cases, outbox and jobs. A commit is on disk when it returns (synchronous = FULL), because results are
	// sent and given up on the strength of it. One connection: River asks for it on SQLite, and it keeps a
	// transaction from waiting for its own process.
	state *sql.DB
	// index takes the rows of received instances and answers questions. Its commits do not wait for the disk: every
	// row of them can be rebuilt from the archive at start, and C-STORE must not pay for a second fsync.
	index *sql.DB
}

func openDatabase(ctx context.Context, path string, log *slog.Logger) (*database, error) {
	// 0600 from the start: the file holds patient identifiers, and SQLite gives its -wal and -shm files the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the state of the node: %w", err)
	}
	f.Close()
	db := &database{}
	if db.state, err = sql.Open("sqlite", dataSource(path, "FULL")); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.state.SetMaxOpenConns(1)
	if db.index, err = sql.Open("sqlite", dataSource(path, "NORMAL")); err != nil {
		db.state.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.index.SetMaxOpenConns(4)
	if err := db.migrate(ctx, log); err != nil {
		db.close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// dataSource makes transactions take the write lock when they begin: one that reads first and writes later would get
// SQLITE_BUSY at once, without waiting, whenever another has written in between.
func dataSource(path, synchronous string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(" + synchronous + ")",
	}}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

func (db *database) close() error {
	err := db.index.Close()
	if e := db.state.Close(); err == nil {
		err = e
	}
	return err
}

// migrate brings the schema up to this program's version. user_version counts the files of migrations/ that were
// applied. A file from a later program is refused: its meaning is unknown.
func (db *database) migrate(ctx context.Context, log *slog.Logger) error {
	files, err := fs.Glob(migrations, "migrations/*.sql") // sorted by name
	if err != nil {
		return err
	}
	var version int
	if err := db.state.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read the version of its schema: %w", err)
	}
	if version > len(files) {
		return fmt.Errorf("it was written by a later rfanode (schema %d, this program knows %d): run that one", version, len(files))
	}
	for i := version; i < len(files); i++ {
		text, err := migrations.ReadFile(files[i])
		if err != nil {
			return err
		}
		err = inTx(ctx, db.state, func(tx *sql.Tx) error {
			var now int // another process may have been faster
			if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&now); err != nil || now > i {
				return err
			}
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("apply %s: %w", files[i], err)
		}
	}
	migrator, err := rivermigrate.New(riversqlite.New(db.state), &rivermigrate.Config{Logger: riverLog(log)})
	if err != nil {
		return fmt.Errorf("prepare the job tables: %w", err)
	}
	if check, err := migrator.Validate(ctx, nil); err == nil && check.OK {
		return nil
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("prepare the job tables: %w", err)
	}
	return nil
}

// inTx runs f in a transaction, committed when f returns nil and rolled back otherwise.
func inTx(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the error of f says more
		return err
	}
	return tx.Commit()
}

// querier is a transaction or a database.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// collect runs a query and scans each row.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func scanText(rows *sql.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}

// micros and fromMicros are how times are stored.
func micros(t time.Time) int64      { return t.UnixMicro() }
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
