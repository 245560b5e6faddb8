internal import PenstockCore
package enum Placeholder {}
